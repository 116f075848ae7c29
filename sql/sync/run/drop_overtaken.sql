-- Drops staged records of users that were read before an edit of the user was written. They are read again.
-- An earlier statement locks the directory.
-- $1 run id, $2 after this row, $3 up to this row
WITH edited AS MATERIALIZED (
    -- Begins with the edits, which are few. The array makes every plan look the users up by key.
    SELECT source, external_id
    FROM t_im_user
    WHERE user_id = ANY (ARRAY(
        SELECT user_id FROM t_im_directory_edit
        WHERE heard_at_call > (SELECT begun_at_call FROM t_im_directory_run WHERE run_id = $1)))
),
overtaken AS (
    DELETE FROM t_im_stage_user s
    WHERE s.run_id = $1 AND s.row_no > $2 AND s.row_no <= $3
      -- IS TRUE makes the plan hash the edited users.
      AND ((s.source, s.external_id) IN (SELECT source, external_id FROM edited)) IS TRUE
    RETURNING s.external_id
)
INSERT INTO t_im_directory_changed (kind, external_id)
SELECT 'user', external_id FROM overtaken ORDER BY external_id
ON CONFLICT (kind, external_id) DO UPDATE SET run_id = NULL
