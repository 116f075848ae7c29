-- Removes files that no message holds, and drops their objects: files of an owner, or files whose time is over. An
-- earlier statement has locked the files.
-- $1 file ids, $2 owner, or null for files whose time is over, $3 now
WITH gone AS (
    DELETE FROM t_im_file f
    WHERE f.file_id = ANY ($1::bigint[])
      AND CASE WHEN $2::text IS NULL THEN f.expires_at <= $3 ELSE f.owner = $2 END
      AND NOT EXISTS (SELECT FROM t_im_file_use u WHERE u.file_id = f.file_id OFFSET 0)
    RETURNING f.file_id
),
dropped AS (
    -- Planned objects have a time already.
    UPDATE t_im_file_object SET drop_after = $3
    WHERE file_id = ANY (ARRAY(SELECT file_id FROM gone)) AND drop_after IS NULL
)
SELECT file_id FROM gone
