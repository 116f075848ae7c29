-- Deletes the oldest mentions.
-- $1 sent before, $2 most rows
DELETE FROM t_im_mention
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM t_im_mention WHERE ms_id < (SELECT im_first_ms_id($1)) ORDER BY ms_id LIMIT $2::bigint))
