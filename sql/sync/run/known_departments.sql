-- Which of these departments belong to a source already.
-- $1 source, $2 department ids
SELECT department_id FROM t_im_department WHERE source = $1 AND department_id = ANY ($2::text[])
