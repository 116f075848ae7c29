-- Whether a lease is still ours, and keeps it from changing hands until the transaction ends.
-- $1 name, $2 epoch
SELECT epoch FROM t_im_lease WHERE name = $1 AND epoch = $2 FOR SHARE
