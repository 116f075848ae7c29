-- Sets the role of a member. One who may no longer add users loses the invites. An earlier statement locks the channel.
-- $1 channel id, $2 user id, $3 role
WITH revoked AS (
    DELETE FROM t_im_invite
    WHERE channel_id = $1 AND created_by = $2 AND $3::text = 'member'
      AND EXISTS (SELECT FROM t_im_channel WHERE channel_id = $1 AND who_adds = 'admins')
)
UPDATE t_im_channel_user SET role = $3 WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
