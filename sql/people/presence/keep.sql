-- Moves the users of a snapshot into the current generation.
-- $1 gateway, $2 user ids, $3 generation
UPDATE t_im_presence SET generation = $3 WHERE gateway = $1 AND user_id = ANY ($2::text[])
