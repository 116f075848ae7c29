-- Reads of cold messages, as ranges.
-- $1 most
SELECT channel_id, user_id, from_seq, to_seq, read_at FROM t_im_read
WHERE to_ms_id < (SELECT ms_id FROM t_im_horizon)
ORDER BY channel_id, user_id, to_seq LIMIT $1::integer
