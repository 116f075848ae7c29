-- The next messages of PostgreSQL, as they are indexed, whatever the horizon says.
-- $1 above this ms_id, $2 most
SELECT m.ms_id, m.channel_id, m.seq, m.server_time, m.sender, m.sender_count, m.ms_type, m.content, m.extra,
       r.recalled_by, r.recalled_at
FROM (SELECT * FROM t_im_message WHERE ms_id > $1 ORDER BY ms_id LIMIT $2::integer) AS m
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
ORDER BY m.ms_id
