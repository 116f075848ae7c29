-- Tells observers of users who missed messages.
-- $1 [{"actor": "u1", "data": {…}}, …], $2 now
INSERT INTO t_im_event_new (type, actor, data, at)
SELECT 'message.unreceived', given.actor, given.data, $2
FROM jsonb_to_recordset($1::jsonb) AS given (actor text, data jsonb)
WHERE im_event_wanted('message.unreceived')
ORDER BY given.actor
