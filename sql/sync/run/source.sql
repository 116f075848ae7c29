-- The token of a source, and when the schedule last began its runs.
-- $1 source
SELECT s.token, s.full_at,
       (SELECT begun_at FROM t_im_schedule WHERE name = 'directory') AS begun_at,
       (SELECT begun_at FROM t_im_schedule WHERE name = 'directory-full') AS full_begun_at
FROM (VALUES (1)) AS one (row)
LEFT JOIN t_im_directory_source s ON s.source = $1
