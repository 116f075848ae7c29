-- Takes the place of one message of a robot, if it has sent less than a number of messages in the last minute.
-- $1 robot id, $2 now, $3 most messages in a minute
-- free_at: when the next place is free, if none was
WITH taken AS (
    UPDATE t_im_robot
    SET sent_at = ($2::timestamptz || sent_at)[1:$3::integer]
    WHERE robot_id = $1
      AND (coalesce(cardinality(sent_at), 0) < $3 OR sent_at[$3] <= $2::timestamptz - interval '1 minute' OR im_stepped_back(sent_at[1], $2))
    RETURNING true
)
SELECT EXISTS (SELECT FROM taken) AS taken, sent_at[$3::integer] + interval '1 minute' AS free_at
FROM t_im_robot
WHERE robot_id = $1
