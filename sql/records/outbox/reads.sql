-- Ranges of reads of cold messages.
-- $1, $2, $3 after this channel id, user id and last seq, $4 most
SELECT channel_id, user_id, from_seq, to_seq, read_at FROM t_im_read
WHERE to_ms_id < (SELECT ms_id FROM t_im_horizon) AND (channel_id, user_id, to_seq) > ($1, $2, $3)
ORDER BY channel_id, user_id, to_seq LIMIT $4::integer
