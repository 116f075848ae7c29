-- Writes a test into the event log, so that no other event gets its id.
-- $1 data, $2 now
WITH head AS (
    UPDATE t_im_event_head SET last_event_id = last_event_id + 1 RETURNING last_event_id
)
INSERT INTO t_im_event (event_id, type, data, at)
SELECT last_event_id, 'callback.test', $1, $2 FROM head
RETURNING event_id
