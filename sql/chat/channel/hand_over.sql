-- Transfers ownership to another member. The old owner stays a member. A department group is compared again,
-- because the old owner stays only if they belong to the department. An owner is not silenced.
-- $1 channel id, $2 old owner, $3 new owner
WITH named AS (
    UPDATE t_im_channel SET owner = $3 WHERE channel_id = $1
),
heard AS (
    DELETE FROM t_im_silence WHERE channel_id = $1 AND user_id = $3
),
compared_again AS (
    UPDATE t_im_department_group SET revision = 0 WHERE channel_id = $1
)
UPDATE t_im_channel_user
SET role = CASE user_id WHEN $3 THEN 'owner' ELSE 'member' END,
    silenced_until = CASE user_id WHEN $3 THEN NULL ELSE silenced_until END
WHERE channel_id = $1 AND user_id IN ($2, $3) AND to_seq IS NULL
