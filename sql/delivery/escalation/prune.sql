-- Deletes urgent rows and nudges of cold messages, and nudges that hold up no further one.
-- $1 nudges before, $2 most of each
WITH horizon AS MATERIALIZED (SELECT ms_id FROM t_im_horizon),
urgent AS (
    DELETE FROM t_im_urgent u
    USING (SELECT user_id, ms_id FROM t_im_urgent WHERE ms_id < (SELECT ms_id FROM horizon) ORDER BY ms_id LIMIT $2) AS old
    WHERE u.user_id = ANY (ARRAY[old.user_id]) AND u.ms_id = ANY (ARRAY[old.ms_id])
    RETURNING 1
),
nudges AS (
    DELETE FROM t_im_nudge
    WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM (SELECT ms_id, nudged_at FROM t_im_nudge ORDER BY ms_id LIMIT $2) AS oldest WHERE nudged_at < $1))
    RETURNING 1
)
SELECT (SELECT count(*) FROM urgent) + (SELECT count(*) FROM nudges) AS pruned
