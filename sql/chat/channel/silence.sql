-- Silences a member until a time. Silences of the group that are over go. An earlier statement locks the channel.
-- $1 channel id, $2 user id, $3 until, $4 now
WITH kept AS (
    INSERT INTO t_im_silence (channel_id, user_id, until) VALUES ($1, $2, $3)
    ON CONFLICT (channel_id, user_id) DO UPDATE SET until = EXCLUDED.until
),
over AS (
    DELETE FROM t_im_silence WHERE channel_id = $1 AND user_id <> $2 AND until <= $4
)
UPDATE t_im_channel_user SET silenced_until = $3 WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
