-- The number of files, and of those that were begun since a time. Both count up to a limit; beyond it, by their ids.
-- $1 since, $2 most files counted
WITH newest AS (
    SELECT file_id, created_at FROM t_im_file ORDER BY file_id DESC LIMIT $2::bigint
)
SELECT count(*) FILTER (WHERE created_at >= $1::timestamptz) AS recent,
       CASE WHEN count(*) < $2 THEN count(*)
            ELSE (count(*)::float8 * (max(file_id) - (SELECT min(file_id) FROM t_im_file) + 1)
                  / (max(file_id) - min(file_id) + 1))::bigint END AS stored,
       count(*) >= $2 AS estimated
FROM newest
