-- Messages as the archive is told of them soon after they were sent: those not sealed meanwhile.
-- $1 ms_ids
SELECT m.ms_id, m.channel_id, m.seq, m.server_time, m.sender, m.sender_count, m.ms_type, m.content,
       r.recalled_by, r.recalled_at
FROM t_im_message m
LEFT JOIN t_im_recall r ON r.ms_id = m.ms_id
WHERE m.ms_id = ANY ($1::bigint[]) AND m.ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)
ORDER BY m.ms_id
