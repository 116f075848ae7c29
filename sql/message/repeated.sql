-- What a repeated send stored the first time.
-- $1 senders, $2 client ids: one element a send, in order
SELECT i.ord, k.digest, m.ms_id, m.channel_id, m.seq, m.server_time
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (sender, client_id, ord)
JOIN t_im_client_id k ON k.sender = i.sender AND k.client_id = i.client_id
JOIN t_im_message m ON m.ms_id = k.ms_id
