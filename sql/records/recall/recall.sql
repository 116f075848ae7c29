-- Recalls messages. Their rows lose the content, unless a row is sealed; then the overlay hides the content and the
-- archive never shows it. The channels and the index queue are updated. An earlier statement locks the channels, and
-- the caller shares the seal lock.
-- $1 ms_ids, $2 channel ids, $3 seqs, $4 senders: one element per message; $5 recalled by, $6 now
-- Returns the messages that were not recalled before.
WITH recall AS (
    INSERT INTO t_im_recall (ms_id, channel_id, seq, sender, recalled_by, recalled_at)
    SELECT ms_id, channel_id, seq, sender, $5, $6
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS given (ms_id, channel_id, seq, sender)
    ORDER BY ms_id
    ON CONFLICT DO NOTHING
    RETURNING ms_id, channel_id, seq
),
open AS MATERIALIZED (
    SELECT recall.ms_id FROM recall CROSS JOIN t_im_horizon h WHERE recall.ms_id >= h.sealed_ms_id
),
emptied AS (
    UPDATE t_im_message SET content = '{}', extra = '{}' WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM open))
),
unmentioned AS (
    DELETE FROM t_im_mention WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
),
channel_updated AS (
    UPDATE t_im_channel c
    SET last_recalled_seq = greatest(c.last_recalled_seq, last.seq),
        last_preview = CASE WHEN c.last_seq = last.seq THEN '{}' ELSE c.last_preview END
    FROM (SELECT channel_id, max(seq) AS seq FROM recall GROUP BY channel_id) AS last
    -- ANY forces an index lookup. With an equality the planner could join, and read every channel.
    WHERE c.channel_id = ANY (ARRAY[last.channel_id])
),
unindexed AS (
    INSERT INTO t_im_index_queue (ms_ids, queued_at)
    SELECT array_agg(ms_id), $6 FROM open WHERE EXISTS (SELECT FROM t_im_archive)
    HAVING count(*) > 0
),
event_written AS (
    INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, actor, data, at)
    SELECT 'message.recalled', channel_id, seq, ms_id, $5,
           jsonb_build_object('ms_id', ms_id::text, 'channel_id', channel_id::text, 'seq', seq, 'recalled_by', $5::text), $6
    FROM recall WHERE im_event_wanted('message.recalled')
)
SELECT ms_id FROM recall
