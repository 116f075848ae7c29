-- Stores the headcount of each department, unless a later revision is already counted.
-- $1 follower, $2 revision, $3 department ids, $4 headcount of each
WITH followed AS (
    UPDATE t_im_directory_follower SET revision = $2 WHERE follower = $1 AND revision < $2
    RETURNING follower
),
gone AS (
    DELETE FROM t_im_department_count c
    WHERE EXISTS (SELECT FROM followed)
      AND NOT EXISTS (SELECT FROM (SELECT removed_at FROM t_im_department WHERE department_id = c.department_id OFFSET 0) AS d
                      WHERE d.removed_at IS NULL)
)
INSERT INTO t_im_department_count AS c (department_id, people)
SELECT department_id, people FROM unnest($3::text[], $4::integer[]) AS counted (department_id, people)
WHERE EXISTS (SELECT FROM followed)
ORDER BY department_id
ON CONFLICT (department_id) DO UPDATE SET people = EXCLUDED.people WHERE c.people <> EXCLUDED.people
