-- Adds users to an instance, except users who have just left. The instance and its users are locked.
-- $1 gateway, $2 user ids, $3 generation
INSERT INTO t_im_presence (gateway, user_id, generation)
SELECT $1, user_id, $3 FROM t_im_user WHERE user_id = ANY ($2::text[]) AND active
