-- Ranges of reads and receipts of cold messages.
-- $1, $2, $3, $4 after this channel id, user id, last seq and status, $5 most
SELECT channel_id, user_id, from_seq, to_seq, read_at, status FROM t_im_read
WHERE to_ms_id < (SELECT ms_id FROM t_im_horizon) AND (channel_id, user_id, to_seq, status) > ($1, $2, $3, $4::smallint)
ORDER BY channel_id, user_id, to_seq, status LIMIT $5::integer
