-- Deletes a batch of client ids that are older than a time.
-- $1 made before, $2 most
DELETE FROM t_im_claim
WHERE ctid = ANY (ARRAY(SELECT ctid FROM t_im_claim WHERE made_at < $1 LIMIT $2))
