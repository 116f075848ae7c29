-- Deletes marks of messages that are in the archive.
-- $1 most rows
DELETE FROM t_im_mark
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM t_im_mark WHERE ms_id < (SELECT ms_id FROM t_im_horizon) ORDER BY ms_id LIMIT $1::bigint))
