-- Keeps the action of a receiver on a version of a card, once, and tells of it. The event has no value: a push reads it
-- here, and a recall deletes it. An earlier statement has locked the message.
-- $1 ms_id, $2 channel id, $3 seq, $4 user id, $5 version, $6 button id, $7 value or null, $8 now
-- No row: the user has acted on this version already.
WITH acted AS (
    INSERT INTO t_im_card_action (ms_id, user_id, version, button_id, value, acted_at)
    VALUES ($1, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING
    RETURNING ms_id
),
told AS (
    INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, actor, data, at)
    SELECT 'card.action', $2, $3, $1, $4,
           jsonb_build_object('ms_id', $1::bigint::text, 'channel_id', $2::bigint::text, 'seq', $3::bigint, 'user_id', $4::text, 'version', $5::bigint,
                              'button_id', $6::text), $8
    FROM acted WHERE im_event_wanted('card.action')
)
SELECT ms_id FROM acted
