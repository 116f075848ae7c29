-- Messages and their receivers in equal stretches of time, from a sample of the pages of both tables. While they have
-- no more pages than are read, all of them are read and the counts are exact. The sample is the same each time.
-- $1 the first ms_id, $2 the ms_ids of a stretch, $3 number of stretches, $4 most pages read of each table
WITH size AS MATERIALIZED (
    SELECT least(100, 100.0 * $4::integer / greatest(1, sum(pg_relation_size(oid)) FILTER (WHERE parent = 't_im_message'::regclass) / 8192)) AS message,
           least(100, 100.0 * $4 / greatest(1, sum(pg_relation_size(oid)) FILTER (WHERE parent = 't_im_ledger'::regclass) / 8192)) AS ledger
    FROM v_im_partition
    WHERE below_ms_id > $1::bigint AND from_ms_id < $1 + $2::bigint * $3::integer
),
message AS (
    SELECT (ms_id - $1) / $2 AS stretch, count(*) AS messages
    FROM t_im_message TABLESAMPLE SYSTEM ((SELECT message FROM size)) REPEATABLE (1)
    WHERE ms_id >= $1 AND ms_id < $1 + $2 * $3
    GROUP BY 1
),
-- The bits of received and read never share a slot, and verdicts are those of slots without either.
pair AS (
    SELECT (ms_id - $1) / $2 AS stretch, sum(bit_count(receivers)) AS receivers,
           sum(coalesce(bit_count(received), 0) + coalesce(bit_count(read), 0)) AS received,
           sum(coalesce(bit_count(offline), 0) + coalesce(bit_count(rejected), 0)) AS answered,
           sum(coalesce(bit_count(read), 0)) AS read
    FROM t_im_ledger TABLESAMPLE SYSTEM ((SELECT ledger FROM size)) REPEATABLE (1)
    WHERE ms_id >= $1 AND ms_id < $1 + $2 * $3
    GROUP BY 1
)
SELECT coalesce(messages * 100 / size.message, 0)::bigint AS messages,
       coalesce(receivers * 100 / size.ledger, 0)::bigint AS receivers,
       coalesce((received + answered) * 100 / size.ledger, 0)::bigint AS pushed,
       coalesce(received * 100 / size.ledger, 0)::bigint AS received,
       coalesce(read * 100 / size.ledger, 0)::bigint AS read,
       size.message < 100 OR size.ledger < 100 AS estimated
FROM generate_series(0::bigint, $3 - 1) AS stretch
LEFT JOIN message USING (stretch)
LEFT JOIN pair USING (stretch)
CROSS JOIN size
ORDER BY stretch
