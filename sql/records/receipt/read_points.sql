-- The channel and seq of the message of each `read` receipt, if the user is a receiver of it.
-- $1 ms_ids, $2 receivers: one element per receipt, in order
SELECT i.ord, m.channel_id, i.receiver AS user_id, m.seq, i.ms_id, u.read_seq
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (ms_id, receiver, ord)
CROSS JOIN LATERAL (
    SELECT channel_id, seq FROM t_im_message WHERE ms_id = i.ms_id AND sender <> i.receiver OFFSET 0) AS m
CROSS JOIN LATERAL (
    SELECT read_seq FROM t_im_channel_user
    WHERE channel_id = m.channel_id AND user_id = i.receiver
      AND from_seq <= m.seq AND (to_seq IS NULL OR to_seq >= m.seq)
    OFFSET 0) AS u
