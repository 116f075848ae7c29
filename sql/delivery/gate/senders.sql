-- What the gate is told of senders and of the channels to which they send.
-- $1 channel ids, or nulls, $2 senders: one element per send, in order
-- is_member: whether the sender is in the channel, if there is one
SELECT i.ord, im_clock() AS now, u.kind, u.name, c.channel_type, c.channel_name,
       i.channel_id IS NULL OR m.user_id IS NOT NULL AS is_member
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (channel_id, sender, ord)
LEFT JOIN LATERAL (SELECT kind, name FROM t_im_user WHERE user_id = i.sender AND active OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT channel_type, channel_name FROM t_im_channel WHERE channel_id = i.channel_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (SELECT user_id FROM t_im_channel_user
                   WHERE channel_id = i.channel_id AND user_id = i.sender AND to_seq IS NULL OFFSET 0) AS m ON true
ORDER BY i.ord
