-- Creates or changes an endpoint. The gateway's row always exists. An endpoint that is activated again starts
-- without its failures.
-- $1 callback id, $2 kind, $3 now, $4 URL, $5 description, $6 event types, $7 channels, $8 departments,
-- $9 encrypted headers, $10 timeout in ms, $11 concurrency, $12 events of a batch, $13 events a second,
-- $14 state, $15 whether it is activated again, $16 the application that makes it, or null
-- $17 what happens without an answer, $18 kinds of senders, for the gate, or nulls
INSERT INTO t_im_callback AS c
    (callback_id, kind, created_at, updated_at, url, description, event_types, channel_ids, department_ids,
     headers, timeout_ms, concurrency, batch_events, events_per_second, state, owner, without_answer,
     sender_kinds)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $16, $17, $18)
ON CONFLICT (callback_id) DO UPDATE
SET url = $4, description = $5, event_types = $6, channel_ids = $7, department_ids = $8, headers = $9,
    timeout_ms = $10, concurrency = $11, batch_events = $12, events_per_second = $13, state = $14,
    without_answer = $17, sender_kinds = $18,
    failing_since = CASE WHEN NOT $15 THEN c.failing_since END,
    disabled_reason = CASE WHEN NOT $15 THEN c.disabled_reason END,
    created_at = CASE WHEN c.url IS NULL THEN $3 ELSE c.created_at END,
    aimed_at = CASE WHEN (c.url, c.event_types, c.channel_ids, c.department_ids)
                         IS DISTINCT FROM (excluded.url, excluded.event_types, excluded.channel_ids, excluded.department_ids)
                    THEN $3 ELSE c.aimed_at END,
    updated_at = $3, revision = c.revision + 1
