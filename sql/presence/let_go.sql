-- An instance, which is locked as its people are, holds some of them no more.
-- $1 gateway, $2 user ids
DELETE FROM t_im_presence WHERE gateway = $1 AND user_id = ANY ($2::text[])
