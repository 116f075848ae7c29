-- The slot of each receipt's receiver in the channel of its message.
-- $1 ms_ids, $2 receivers: one element per receipt, in order
SELECT i.ord, s.slot
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (ms_id, receiver, ord)
CROSS JOIN LATERAL (SELECT channel_id FROM t_im_message WHERE ms_id = i.ms_id OFFSET 0) AS m
CROSS JOIN LATERAL (SELECT slot FROM t_im_channel_slot WHERE channel_id = m.channel_id AND user_id = i.receiver OFFSET 0) AS s
