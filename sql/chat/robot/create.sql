-- Creates a robot with its user, who becomes a member with a slot. An earlier statement locks the channel, and the next
-- one clears the bit of the slot.
-- $1 channel id, $2 user id, $3 name, $4 whether calls must prove the secret, $5 hash of the token, $6 salt, $7 caller, $8 now
WITH known AS (
    INSERT INTO t_im_user (user_id, name, kind, source, updated_at) VALUES ($2, $3, 'application', 'robot', $8)
),
joined AS (
    INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, joined_at, read_seq, read_ms_id)
    SELECT channel_id, $2, last_seq + 1, last_ms_id, last_seq + 1, $8, last_seq, last_ms_id
    FROM t_im_channel WHERE channel_id = $1
),
robot AS (
    INSERT INTO t_im_robot (channel_id, user_id, must_sign, token_hash, salt, created_by, created_at)
    VALUES ($1, $2, $4, $5, $6, $7, $8)
    RETURNING robot_id
)
UPDATE t_im_channel
SET member_count = member_count + 1
WHERE channel_id = $1
RETURNING (SELECT robot_id FROM robot) AS robot_id, im_set_members($1, ARRAY[$2])
