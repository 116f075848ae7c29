-- Recalls a message. Its row loses the content, unless the row is sealed; then the overlay hides the content
-- and the archive never shows it. The channel and the index queue are updated. An earlier statement locks the
-- channel, and the caller shares the seal lock.
-- $1 ms_id, $2 channel id, $3 seq, $4 sender, $5 recalled by, $6 now
-- No row: the message is already recalled.
WITH recall AS (
    INSERT INTO t_im_recall (ms_id, channel_id, seq, sender, recalled_by, recalled_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING
    RETURNING ms_id, channel_id, seq
),
emptied AS (
    UPDATE t_im_message m SET content = '{}', extra = '{}'
    FROM recall CROSS JOIN t_im_horizon h
    WHERE m.ms_id = $1 AND m.ms_id >= h.sealed_ms_id
),
unmentioned AS (
    DELETE FROM t_im_mention WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
),
channel_updated AS (
    UPDATE t_im_channel c
    SET last_recalled_seq = greatest(c.last_recalled_seq, recall.seq),
        last_preview = CASE WHEN c.last_seq = recall.seq THEN '{}' ELSE c.last_preview END
    FROM recall WHERE c.channel_id = recall.channel_id
),
unindexed AS (
    INSERT INTO t_im_index_queue (ms_ids, queued_at)
    SELECT ARRAY[recall.ms_id], $6 FROM recall CROSS JOIN t_im_horizon h
    WHERE EXISTS (SELECT FROM t_im_archive) AND recall.ms_id >= h.sealed_ms_id
),
event_written AS (
    INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, actor, data, at)
    SELECT 'message.recalled', channel_id, seq, ms_id, $5,
           jsonb_build_object('ms_id', ms_id::text, 'channel_id', channel_id::text, 'seq', seq, 'recalled_by', $5::text), $6
    FROM recall WHERE im_event_wanted('message.recalled')
)
SELECT ms_id FROM recall
