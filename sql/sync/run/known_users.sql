-- Which of these users belong to a source already.
-- $1 source, $2 external ids
SELECT external_id FROM t_im_user WHERE source = $1 AND external_id = ANY ($2::text[])
