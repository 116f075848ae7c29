-- Creates a robot with its user. An earlier statement locks the channel. Later ones make the user a member, and clear the
-- bit of its slot.
-- $1 channel id, $2 user id, $3 name, $4 whether calls must prove the secret, $5 hash of the token, $6 salt, $7 caller, $8 now
WITH known AS (
    INSERT INTO t_im_user (user_id, name, kind, source, updated_at) VALUES ($2, $3, 'application', 'robot', $8)
)
INSERT INTO t_im_robot (channel_id, user_id, must_sign, token_hash, salt, created_by, created_at)
VALUES ($1, $2, $4, $5, $6, $7, $8)
RETURNING robot_id
