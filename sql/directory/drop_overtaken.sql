-- What a run has heard of somebody before an edit of them was taken in is older than what is here: it is dropped, and
-- the person is read again. The directory is locked by an earlier statement.
-- $1 run id, $2 after this row, $3 up to this row
WITH overtaken AS (
    DELETE FROM t_im_stage_user s
    USING t_im_directory_run r, t_im_user u
    WHERE r.run_id = $1 AND s.run_id = $1 AND s.row_no > $2 AND s.row_no <= $3
      AND u.source = s.source AND u.external_id = s.external_id
      AND EXISTS (SELECT FROM t_im_directory_edit e WHERE e.user_id = u.user_id AND e.heard_at_call > r.begun_at_call)
    RETURNING s.external_id
)
INSERT INTO t_im_directory_changed (kind, external_id)
SELECT 'user', external_id FROM overtaken ORDER BY external_id
ON CONFLICT (kind, external_id) DO UPDATE SET run_id = NULL
