-- The new messages to index. Sealed ones are skipped.
-- $1 ms_ids
SELECT i.ms_id, m.channel_id, m.seq, m.server_time, m.sender, m.sender_count, m.ms_type, m.content, m.extra,
       r.recalled_by, r.recalled_at
FROM (SELECT DISTINCT ms_id FROM unnest($1::bigint[]) AS i (ms_id)
      WHERE ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)) AS i
CROSS JOIN LATERAL (SELECT * FROM t_im_message WHERE ms_id = i.ms_id OFFSET 0) AS m
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = i.ms_id OFFSET 0) AS r ON true
ORDER BY i.ms_id
