-- `received` receipts of hot messages in bulk. A valid one whose ledger row is not written yet, or
-- not written any more because it is sealed, waits. The caller shares the seal lock.
-- $1 ms_ids, $2 receivers: one element a receipt, in order; $3 now
-- outcome: advanced, unchanged, waiting, unknown
WITH given AS MATERIALIZED (
    SELECT i.ms_id, i.receiver, i.ord
    FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (ms_id, receiver, ord)
),
valid AS MATERIALIZED (
    SELECT given.ms_id, given.receiver, given.ord, m.channel_id, m.seq
    FROM given
    JOIN t_im_message m ON m.ms_id = given.ms_id AND m.sender <> given.receiver
    JOIN t_im_channel_user u
      ON u.channel_id = m.channel_id AND u.user_id = given.receiver
     AND u.from_seq <= m.seq AND (u.to_seq IS NULL OR u.to_seq >= m.seq)
),
locked AS MATERIALIZED (
    -- In order of the key, as every writer of several ledger rows locks them.
    SELECT l.ms_id, l.receiver, l.status
    FROM (SELECT DISTINCT ms_id, receiver FROM valid ORDER BY ms_id, receiver) AS v
    JOIN t_im_message_push l ON l.ms_id = v.ms_id AND l.receiver = v.receiver
    WHERE l.ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)
    ORDER BY l.ms_id, l.receiver
    FOR UPDATE OF l
),
advanced AS (
    UPDATE t_im_message_push l
    SET status = 1, verdict = NULL, verdict_reason = NULL, last_modified_time = $3
    FROM locked
    WHERE l.ms_id = locked.ms_id AND l.receiver = locked.receiver AND l.status = 0
    RETURNING l.ms_id, l.receiver
),
waiting AS (
    INSERT INTO t_im_receipt_pending (ms_id, receiver, received_at)
    SELECT DISTINCT valid.ms_id, valid.receiver, $3
    FROM valid
    WHERE NOT EXISTS (SELECT FROM locked WHERE locked.ms_id = valid.ms_id AND locked.receiver = valid.receiver)
    ON CONFLICT DO NOTHING
),
counted AS (
    INSERT INTO t_im_event_tally (type, channel_id, seq, ms_id, people, at)
    SELECT 'message.received', v.channel_id, v.seq, advanced.ms_id, count(*), $3
    FROM advanced JOIN (SELECT DISTINCT ms_id, channel_id, seq FROM valid) AS v USING (ms_id)
    WHERE im_event_wanted('message.received')
    GROUP BY v.channel_id, v.seq, advanced.ms_id
)
SELECT given.ord,
       CASE WHEN valid.ord IS NULL THEN 'unknown'
            WHEN advanced.ms_id IS NOT NULL THEN 'advanced'
            WHEN locked.ms_id IS NOT NULL THEN 'unchanged'
            ELSE 'waiting' END AS outcome
FROM given
LEFT JOIN valid ON valid.ord = given.ord
LEFT JOIN locked ON locked.ms_id = valid.ms_id AND locked.receiver = valid.receiver
LEFT JOIN advanced ON advanced.ms_id = valid.ms_id AND advanced.receiver = valid.receiver
ORDER BY given.ord
