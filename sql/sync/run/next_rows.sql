-- The last row of the next step of a run's staging, or null at the end.
-- $1 run id, $2 after this row, $3 most rows
SELECT max(row_no) AS up_to
FROM (SELECT row_no
      FROM (SELECT row_no FROM (SELECT row_no FROM t_im_stage_user WHERE run_id = $1 AND row_no > $2
                                ORDER BY row_no LIMIT $3::bigint) AS u
            UNION ALL
            SELECT row_no FROM (SELECT row_no FROM t_im_stage_department WHERE run_id = $1 AND row_no > $2
                                ORDER BY row_no LIMIT $3) AS d) AS both_kinds
      ORDER BY row_no LIMIT $3) AS step
