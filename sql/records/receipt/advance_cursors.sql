-- Moves read cursors forward. Keeps each read as a range with its time, until the background pass writes it into
-- the ledger or the archive has it.
-- $1 channel ids, $2 user ids, $3 seqs, $4 their ms_ids, $5 now
-- $6 number of own messages up to each, if the next own message is cold; otherwise null
WITH target AS MATERIALIZED (
    SELECT DISTINCT ON (m.channel_id, m.user_id, m.from_seq)
           m.channel_id, m.user_id, m.from_seq, m.read_seq, m.read_ms_id, given.seq, given.ms_id, given.sent_count
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $6::bigint[])
         AS given (channel_id, user_id, seq, ms_id, sent_count)
    JOIN t_im_channel_user m
      ON m.channel_id = given.channel_id AND m.user_id = given.user_id
     AND m.from_seq <= given.seq AND (m.to_seq IS NULL OR m.to_seq >= given.seq)
     AND m.read_seq < given.seq
    ORDER BY m.channel_id, m.user_id, m.from_seq, given.seq DESC
),
counted AS (
    -- The number of the reader's own messages up to the cursor: all of them, or the running count of the first
    -- one above the cursor, minus 1.
    SELECT target.channel_id, target.user_id, target.from_seq, target.seq, target.ms_id,
           CASE WHEN target.sent_count IS NOT NULL THEN target.sent_count
                WHEN s.user_id IS NULL THEN 0
                WHEN s.last_sent_seq <= target.seq THEN s.sent_count
                ELSE (SELECT own.sender_count - 1 FROM t_im_message own
                      WHERE own.channel_id = target.channel_id AND own.seq > target.seq
                        AND own.ms_id > target.ms_id AND own.sender = target.user_id
                      ORDER BY own.seq LIMIT 1) END AS sent_count
    FROM target
    LEFT JOIN t_im_channel_sender s ON s.channel_id = target.channel_id AND s.user_id = target.user_id
),
kept AS (
    INSERT INTO t_im_read (channel_id, user_id, from_seq, to_seq, from_ms_id, to_ms_id, read_at)
    SELECT channel_id, user_id, read_seq + 1, seq, read_ms_id, ms_id, $5 FROM target
    ON CONFLICT DO NOTHING
),
told AS (
    INSERT INTO t_im_event_tally (type, channel_id, seq, ms_id, who, people, at)
    SELECT 'message.read', channel_id, seq, ms_id, user_id, 1, $5 FROM target
    WHERE im_event_wanted('message.read')
)
UPDATE t_im_channel_user m
SET read_seq = c.seq, read_ms_id = c.ms_id, read_sent_count = c.sent_count
FROM counted c
WHERE m.channel_id = c.channel_id AND m.user_id = c.user_id AND m.from_seq = c.from_seq
