-- Gives a card its next state: in the message, in the conversation list, and for the index. Tells of it. An earlier
-- statement has locked the channel, and the caller shares the seal lock.
-- $1 ms_id, $2 channel id, $3 seq, $4 content, $5 the content as the list shows it, $6 preview, $7 sender, $8 now
WITH written AS (
    UPDATE t_im_message SET content = $4, extra = extra || jsonb_build_object('preview', $6::text)
    WHERE ms_id = $1
    RETURNING ms_id
),
listed AS (
    UPDATE t_im_channel SET last_preview = $5 WHERE channel_id = $2 AND last_ms_id = $1
),
unindexed AS (
    INSERT INTO t_im_index_queue (ms_ids, queued_at)
    SELECT ARRAY[ms_id], $8 FROM written WHERE EXISTS (SELECT FROM t_im_archive)
),
told AS (
    INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, actor, data, at)
    SELECT 'message.updated', $2, $3, $1, $7, jsonb_build_object('ms_id', $1::bigint::text, 'channel_id', $2::bigint::text, 'seq', $3::bigint), $8
    FROM written WHERE im_event_wanted('message.updated')
)
SELECT ms_id FROM written
