-- Gives a lease back, so that another replica does not have to wait for its end.
-- $1 name, $2 holder, $3 now
UPDATE t_im_lease SET until = $3 WHERE name = $1 AND holder = $2 AND until > $3
