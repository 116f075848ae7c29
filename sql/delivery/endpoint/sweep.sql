-- Deletes some queue rows of removed endpoints, and of one more. A batch that is locked is settled first and
-- goes at the next sweep.
-- $1 one more callback id, or null, $2 most rows, $3 most batches
WITH gone AS MATERIALIZED (
    SELECT callback_id FROM t_im_callback WHERE removed_at IS NOT NULL
    UNION ALL SELECT $1::text WHERE $1 IS NOT NULL
),
batches AS (
    DELETE FROM t_im_push_batch
    WHERE batch_id = ANY (ARRAY(
        SELECT batch_id FROM t_im_push_batch
        WHERE callback_id = ANY (ARRAY(SELECT callback_id FROM gone))
        LIMIT $3
        FOR UPDATE SKIP LOCKED))
    RETURNING batch_id
),
waiting AS (
    DELETE FROM t_im_push_queue
    WHERE (callback_id, queue_id) IN (
        SELECT callback_id, queue_id FROM t_im_push_queue
        WHERE callback_id = ANY (ARRAY(SELECT callback_id FROM gone))
        LIMIT $2
        FOR UPDATE SKIP LOCKED)
    RETURNING queue_id
)
SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM waiting) AS swept
