-- Receipts that came before their ledger rows, for rows that are there now. Those of sealed
-- messages wait for the archive. The caller shares the seal lock. (ANY: as in receive.sql.)
-- $1 most receipts
WITH due AS MATERIALIZED (
    SELECT p.ms_id, p.receiver, p.received_at
    FROM t_im_receipt_pending p
    -- OFFSET 0: each waiting receipt looks for its row, not every row for a receipt.
    CROSS JOIN LATERAL (
        SELECT FROM t_im_message_push WHERE ms_id = p.ms_id AND receiver = p.receiver OFFSET 0) AS written
    WHERE p.ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)
    ORDER BY p.ms_id, p.receiver
    LIMIT $1::integer
    FOR UPDATE OF p SKIP LOCKED
),
locked AS MATERIALIZED (
    -- One by one in order of the key, as every writer of several ledger rows locks them.
    SELECT due.ms_id, due.receiver, due.received_at, l.status
    FROM (SELECT * FROM due ORDER BY ms_id, receiver) AS due
    CROSS JOIN LATERAL (
        SELECT status FROM t_im_message_push WHERE ms_id = due.ms_id AND receiver = due.receiver
        FOR UPDATE OFFSET 0) AS l
),
advanced AS (
    UPDATE t_im_message_push l
    SET status = 1, verdict = NULL, verdict_reason = NULL, last_modified_time = locked.received_at
    FROM locked
    WHERE l.ms_id = ANY (ARRAY[locked.ms_id]) AND l.receiver = ANY (ARRAY[locked.receiver]) AND l.status = 0
    RETURNING l.ms_id, l.channel_id
),
counted AS (
    INSERT INTO t_im_event_tally (type, channel_id, seq, ms_id, people, at)
    SELECT 'message.received', received.channel_id, m.seq, received.ms_id, received.people, im_clock()
    FROM (SELECT ms_id, channel_id, count(*) AS people FROM advanced GROUP BY ms_id, channel_id) AS received
    CROSS JOIN LATERAL (SELECT seq FROM t_im_message WHERE ms_id = received.ms_id OFFSET 0) AS m
    WHERE im_event_wanted('message.received')
)
DELETE FROM t_im_receipt_pending p
USING due
WHERE p.ms_id = ANY (ARRAY[due.ms_id]) AND p.receiver = ANY (ARRAY[due.receiver])
