-- Ends a run as done: keeps the token, and deletes the changed records that the run has read.
-- $1 run id, $2 source, $3 now
WITH run AS (
    UPDATE t_im_directory_run SET state = 'done', ended_at = $3::timestamptz WHERE run_id = $1
    RETURNING mode, token
),
known AS (
    INSERT INTO t_im_directory_source (source, token, full_at)
    SELECT $2, token, CASE WHEN mode = 'full' THEN $3 END FROM run WHERE mode <> 'changes'
    ON CONFLICT (source) DO UPDATE
    SET token = EXCLUDED.token, full_at = coalesce(EXCLUDED.full_at, t_im_directory_source.full_at)
)
DELETE FROM t_im_directory_changed WHERE run_id = $1
