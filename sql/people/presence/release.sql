-- Releases users of an instance. The instance and its users are locked.
-- $1 gateway, $2 user ids
DELETE FROM t_im_presence WHERE gateway = $1 AND user_id = ANY ($2::text[])
