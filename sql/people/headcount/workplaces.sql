-- Counts the active internal and external users of each set of departments. Most sets have one department.
SELECT department_ids, count(*) AS people
FROM (SELECT w.user_id, array_agg(w.department_id ORDER BY w.department_id) AS department_ids
      FROM t_im_department_user w
      -- OFFSET 0 makes each user a key lookup, also with a plan made while there were few.
      CROSS JOIN LATERAL (SELECT active, kind FROM t_im_user WHERE user_id = w.user_id OFFSET 0) AS u
      WHERE u.active AND u.kind <> 'application'
      GROUP BY w.user_id) AS person
GROUP BY department_ids
