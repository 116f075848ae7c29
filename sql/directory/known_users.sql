-- Which of these people a source has told of before.
-- $1 source, $2 external ids
SELECT external_id FROM t_im_user WHERE source = $1 AND external_id = ANY ($2::text[])
