-- The messages that repeated sends stored the first time.
-- $1 senders, $2 client ids: one element per send, in order
SELECT i.ord, k.digest, k.ms_id, m.channel_id, m.seq, m.server_time
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (sender, client_id, ord)
CROSS JOIN LATERAL (
    SELECT digest, ms_id FROM t_im_client_id WHERE sender = i.sender AND client_id = i.client_id OFFSET 0) AS k
CROSS JOIN LATERAL (
    SELECT channel_id, seq, server_time FROM t_im_message WHERE ms_id = k.ms_id OFFSET 0) AS m
