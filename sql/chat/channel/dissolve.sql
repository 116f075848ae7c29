-- Dissolves a channel. It takes no more messages, and its members keep the history. No user waits to join it.
-- $1 channel id, $2 now
WITH invites AS (
    DELETE FROM t_im_invite WHERE channel_id = $1
),
requests AS (
    DELETE FROM t_im_join_request WHERE channel_id = $1
),
silences AS (
    DELETE FROM t_im_silence WHERE channel_id = $1
),
removed AS (
    DELETE FROM t_im_removed WHERE channel_id = $1
)
UPDATE t_im_channel SET dissolved_at = $2 WHERE channel_id = $1
