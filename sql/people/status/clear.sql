-- Removes the status that a user shows, and signals it to the replicas. No row: there was none.
-- $1 user id
WITH removed AS (
    DELETE FROM t_im_user_status WHERE user_id = $1 RETURNING user_id
)
SELECT im_signal_users(ARRAY[user_id]) AS signals FROM removed
