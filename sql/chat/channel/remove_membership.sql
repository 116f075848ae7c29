-- Ends a membership at the channel's last message. An empty interval is deleted. The earlier messages that a
-- newcomer could see become invisible. An earlier statement locks the channel.
-- $1 channel id, $2 user id
WITH channel AS (
    SELECT last_seq FROM t_im_channel WHERE channel_id = $1
),
removed AS (
    DELETE FROM t_im_channel_user m USING channel c
    WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL AND m.from_seq > c.last_seq
    RETURNING m.user_id
),
closed AS (
    UPDATE t_im_channel_user m SET to_seq = c.last_seq, sees_from_seq = m.from_seq, role = 'member'
    FROM channel c
    WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL AND m.from_seq <= c.last_seq
    RETURNING m.user_id
)
UPDATE t_im_channel SET member_count = member_count - 1
WHERE channel_id = $1 AND (EXISTS (SELECT FROM removed) OR EXISTS (SELECT FROM closed))
RETURNING im_clear_members($1, ARRAY[$2])
