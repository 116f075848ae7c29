-- Splits ranges that cross the seal. The sealed part waits for the archive, the rest goes into the ledger. The
-- caller shares the seal lock.
-- $1 most ranges
WITH crossing AS MATERIALIZED (
    SELECT r.*, h.sealed_ms_id
    FROM t_im_read r CROSS JOIN t_im_horizon h
    WHERE r.from_ms_id < h.sealed_ms_id - 1 AND r.to_ms_id >= h.sealed_ms_id
    ORDER BY r.channel_id, r.user_id, r.to_seq, r.status
    LIMIT $1::integer
    FOR UPDATE OF r SKIP LOCKED
),
first_open AS MATERIALIZED (
    -- The last message of the range is not sealed, so a first open one exists.
    SELECT crossing.channel_id, crossing.user_id, crossing.to_seq, crossing.status, crossing.from_seq, crossing.from_ms_id,
           crossing.sealed_ms_id, crossing.read_at, m.seq
    FROM crossing
    CROSS JOIN LATERAL (
        SELECT seq FROM t_im_message
        WHERE channel_id = crossing.channel_id AND seq BETWEEN crossing.from_seq AND crossing.to_seq
          AND ms_id BETWEEN crossing.sealed_ms_id AND crossing.to_ms_id
        ORDER BY seq LIMIT 1
    ) AS m
),
sealed AS (
    INSERT INTO t_im_read (channel_id, user_id, from_seq, to_seq, from_ms_id, to_ms_id, read_at, status)
    SELECT channel_id, user_id, from_seq, seq - 1, from_ms_id, sealed_ms_id - 1, read_at, status
    FROM first_open WHERE seq > from_seq
    ON CONFLICT DO NOTHING
)
UPDATE t_im_read r SET from_seq = first_open.seq, from_ms_id = first_open.sealed_ms_id - 1
FROM first_open
WHERE r.channel_id = first_open.channel_id AND r.user_id = first_open.user_id AND r.to_seq = first_open.to_seq
  AND r.status = first_open.status
