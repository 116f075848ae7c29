-- Removes a robot. Its user is no active user any more; history keeps the name. The next statement ends the membership.
-- $1 channel id, $2 robot id, $3 now
WITH gone AS (
    DELETE FROM t_im_robot WHERE channel_id = $1 AND robot_id = $2 RETURNING user_id
),
departed AS (
    UPDATE t_im_user u SET active = false, updated_at = $3 FROM gone WHERE u.user_id = gone.user_id
)
SELECT user_id FROM gone
