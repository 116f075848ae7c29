-- Checks that this replica still has a lease, and locks it until the transaction ends.
-- $1 name, $2 epoch
SELECT epoch FROM t_im_lease WHERE name = $1 AND epoch = $2 FOR SHARE
