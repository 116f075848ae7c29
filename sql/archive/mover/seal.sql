-- Seals a day: its push statuses no longer change. The caller holds the seal lock exclusively.
-- $1 day, $2 run id, $3 from this ms_id, $4 below this one, $5 now
WITH sealed AS (
    UPDATE t_im_horizon SET sealed_ms_id = $4 WHERE sealed_ms_id < $4
)
INSERT INTO t_im_archive_day (day, run_id, step, from_ms_id, below_ms_id, written_ms_id, sealed_at)
VALUES ($1, $2, 'sealed', $3::bigint, $4, $3::bigint - 1, $5)
