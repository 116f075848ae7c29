-- Sets the state of a run after its comparison.
-- $1 run id, $2 state, $3 counts, $4 detail, $5 now
UPDATE t_im_directory_run
SET state = $2::text, counts = $3, detail = coalesce($4, detail),
    ended_at = CASE WHEN $2 = 'shown' THEN $5::timestamptz END
WHERE run_id = $1
