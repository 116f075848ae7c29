-- Asks for an archive run, unless one is open.
-- $1 who asks: schedule or hand, $2 now
INSERT INTO t_im_archive_run (asked_by, asked_at) VALUES ($1, $2)
ON CONFLICT ((true)) WHERE ended_at IS NULL DO NOTHING
RETURNING run_id
