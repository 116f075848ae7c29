-- Removes files that no message holds, and drops their objects.
-- $1 file ids, $2 owner or null for any, $3 now
WITH unused AS MATERIALIZED (
    -- A file with a time is held by no message. A send that holds it from now on takes the time away: the lock waits
    -- for it and sees that.
    SELECT f.file_id FROM t_im_file f
    WHERE f.file_id = ANY ($1::bigint[]) AND ($2::text IS NULL OR f.owner = $2) AND f.expires_at IS NOT NULL
    FOR UPDATE
),
gone AS (
    DELETE FROM t_im_file f
    USING unused
    WHERE f.file_id = unused.file_id AND NOT EXISTS (SELECT FROM t_im_file_use u WHERE u.file_id = unused.file_id OFFSET 0)
    RETURNING f.file_id
),
dropped AS (
    UPDATE t_im_file_object o SET drop_after = $3 FROM gone WHERE o.file_id = gone.file_id
)
SELECT file_id FROM gone
