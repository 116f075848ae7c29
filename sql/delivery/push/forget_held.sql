-- Forgets what was held for a gateway that has not come, while there is none: the oldest commits, and queue rows that
-- were moved from commits while there was a gateway for a time.
-- $1 queued before, $2 most rows of each
WITH off AS MATERIALIZED (
    SELECT FROM t_im_callback WHERE callback_id = 'gateway' AND url IS NULL
),
commits AS (
    DELETE FROM t_im_push_commit
    WHERE commit_id = ANY (ARRAY(
        SELECT commit_id
        FROM (SELECT commit_id, held, queued_at FROM t_im_push_commit ORDER BY commit_id LIMIT $2::integer) AS oldest
        WHERE held AND queued_at < $1 AND EXISTS (SELECT FROM off)))
    RETURNING 1
),
rows AS (
    DELETE FROM t_im_push_queue
    WHERE callback_id = 'gateway' AND queue_id = ANY (ARRAY(
        SELECT queue_id
        FROM (SELECT queue_id, held, queued_at FROM t_im_push_queue
              WHERE callback_id = 'gateway' ORDER BY queue_id LIMIT $2::integer) AS oldest
        WHERE held AND queued_at < $1 AND EXISTS (SELECT FROM off)))
    RETURNING 1
)
SELECT (SELECT count(*) FROM commits) + (SELECT count(*) FROM rows) AS forgotten
