-- Records an access to data of other users, or a change of it.
-- $1 now, $2 actor, $3 action, $4 reason or null, $5 filter, $6 how many results, or null
INSERT INTO t_im_audit (at, actor, action, reason, filter, results) VALUES ($1, $2, $3, $4, $5, $6)
