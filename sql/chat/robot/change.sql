-- Changes the name of a robot, or whether calls must prove its secret.
-- $1 channel id, $2 robot id, $3 name or null, $4 whether calls must prove the secret, or null, $5 now
WITH robot AS (
    UPDATE t_im_robot SET must_sign = coalesce($4, must_sign) WHERE channel_id = $1 AND robot_id = $2 RETURNING user_id
),
named AS (
    UPDATE t_im_user u SET name = $3, updated_at = $5 FROM robot WHERE u.user_id = robot.user_id AND $3::text IS NOT NULL
)
SELECT user_id FROM robot
