-- Removes the presence of users who have left. The transaction that deactivates them has locked them.
-- $1 user ids
DELETE FROM t_im_presence
WHERE user_id = ANY (ARRAY(SELECT user_id FROM t_im_user WHERE user_id = ANY ($1::text[]) AND NOT active))
RETURNING user_id
