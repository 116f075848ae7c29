-- Nobody holds people any more who have left. Whoever made them leave has locked them.
-- $1 user ids
DELETE FROM t_im_presence
WHERE user_id = ANY (ARRAY(SELECT user_id FROM t_im_user WHERE user_id = ANY ($1::text[]) AND NOT active))
RETURNING user_id
