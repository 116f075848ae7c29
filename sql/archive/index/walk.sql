-- The next messages of the walk through a new archive.
-- $1 first ms_id, $2 most messages
SELECT ms_id FROM t_im_message
WHERE ms_id >= greatest($1, (SELECT sealed_ms_id FROM t_im_horizon))
ORDER BY ms_id
LIMIT $2::integer
