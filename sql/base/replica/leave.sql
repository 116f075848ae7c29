-- Forgets a replica that stops.
-- $1 replica id
DELETE FROM t_im_replica WHERE replica_id = $1
