-- Which of these departments a source has told of before.
-- $1 source, $2 department ids
SELECT department_id FROM t_im_department WHERE source = $1 AND department_id = ANY ($2::text[])
