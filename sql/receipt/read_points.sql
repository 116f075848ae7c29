-- Where `read` receipts point: channel and seq of each message its receiver was a receiver of.
-- $1 ms_ids, $2 receivers: one element a receipt, in order
SELECT i.ord, m.channel_id, i.receiver AS user_id, m.seq, m.ms_id, u.read_seq
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (ms_id, receiver, ord)
JOIN t_im_message m ON m.ms_id = i.ms_id AND m.sender <> i.receiver
JOIN t_im_channel_user u
  ON u.channel_id = m.channel_id AND u.user_id = i.receiver
 AND u.from_seq <= m.seq AND (u.to_seq IS NULL OR u.to_seq >= m.seq)
