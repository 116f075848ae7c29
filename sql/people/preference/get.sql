-- The notification settings of a user. No row: the user has never set any.
-- $1 user id
SELECT quiet, every_s, ways, offline_reminder, offline_priority FROM t_im_preference WHERE user_id = $1
