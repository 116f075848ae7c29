-- Forgets groups to which it is too late to return.
-- $1 left before, $2 most rows
DELETE FROM t_im_left_group WHERE ctid = ANY (ARRAY(SELECT ctid FROM t_im_left_group WHERE left_at < $1 LIMIT $2::bigint))
