-- One page of the changes that a run would make or has not made yet, in the order of its records.
-- $1 run id, $2 after this row, $3 limit
SELECT row_no, kind, id, name, action
FROM (SELECT row_no, 'user' AS kind, user_id AS id, name, action
      FROM v_im_stage_user WHERE run_id = $1 AND row_no > $2 AND action <> 'same'
      UNION ALL
      SELECT row_no, 'department', department_id, name, action
      FROM v_im_stage_department WHERE run_id = $1 AND row_no > $2 AND action <> 'same') AS difference
ORDER BY row_no
LIMIT $3
