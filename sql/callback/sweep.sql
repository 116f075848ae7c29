-- Deletes a part of the queues of removed endpoints, and of one more endpoint. A batch is deleted with its
-- rows. A locked batch is settled by its holder; the next sweep deletes it.
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
held AS (
    DELETE FROM t_im_push_queue
    WHERE batch_id = ANY (ARRAY(SELECT batch_id FROM batches))
    RETURNING queue_id
),
waiting AS (
    DELETE FROM t_im_push_queue
    WHERE queue_id = ANY (ARRAY(
        SELECT queue_id FROM t_im_push_queue
        WHERE callback_id = ANY (ARRAY(SELECT callback_id FROM gone)) AND batch_id IS NULL
        LIMIT $2
        FOR UPDATE SKIP LOCKED))
    RETURNING queue_id
)
SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM held) + (SELECT count(*) FROM waiting) AS swept
