-- Adds members after the channel's last message. Current members are skipped. An earlier statement locks the
-- channel.
-- $1 channel id, $2 user ids, $3 now
WITH channel AS (
    SELECT channel_id, last_seq, last_ms_id, newcomers_see, sees_floor_seq FROM t_im_channel WHERE channel_id = $1
),
joined AS (
    INSERT INTO t_im_channel_user
        (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, joined_at, read_seq, read_ms_id, read_sent_count, silenced_until)
    SELECT c.channel_id, given.user_id, c.last_seq + 1, c.last_ms_id,
           CASE c.newcomers_see WHEN 'everything' THEN c.sees_floor_seq ELSE c.last_seq + 1 END,
           $3, c.last_seq, c.last_ms_id, coalesce(s.sent_count, 0), silence.until
    FROM channel c
    CROSS JOIN unnest($2::text[]) AS given (user_id)
    LEFT JOIN t_im_channel_sender s ON s.channel_id = c.channel_id AND s.user_id = given.user_id
    LEFT JOIN LATERAL (
        SELECT until FROM t_im_silence WHERE channel_id = c.channel_id AND user_id = given.user_id OFFSET 0) AS silence ON true
    ON CONFLICT (channel_id, user_id) WHERE to_seq IS NULL DO NOTHING
    RETURNING user_id
),
answered AS (
    -- A request to join is answered however the user joins.
    DELETE FROM t_im_join_request WHERE channel_id = $1 AND user_id = ANY (ARRAY(SELECT user_id FROM joined))
),
readmitted AS (
    DELETE FROM t_im_removed WHERE channel_id = $1 AND user_id = ANY (ARRAY(SELECT user_id FROM joined))
)
UPDATE t_im_channel
SET member_count = member_count + (SELECT count(*) FROM joined)
WHERE channel_id = $1
RETURNING ARRAY(SELECT user_id FROM joined ORDER BY user_id) AS joined,
          im_set_members($1, ARRAY(SELECT user_id FROM joined))
