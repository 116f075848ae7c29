-- Client ids older than they need be kept, some at a time.
-- $1 minted before, $2 most
DELETE FROM t_im_client_id
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM t_im_client_id WHERE ms_id < (SELECT im_first_ms_id($1)) LIMIT $2))
