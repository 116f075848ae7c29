-- Tells observers of receivers who have not read.
-- $1 [{"channel_id": 1, "seq": 1, "ms_id": 1, "actor": "u1", "data": {…}}, …], $2 now
INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, actor, data, at)
SELECT 'message.unread', given.channel_id, given.seq, given.ms_id, given.actor, given.data, $2
FROM jsonb_to_recordset($1::jsonb) AS given (channel_id bigint, seq bigint, ms_id bigint, actor text, data jsonb)
WHERE im_event_wanted('message.unread')
ORDER BY given.ms_id
