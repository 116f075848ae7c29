-- Signals to the replicas that a member is typing. Nothing is stored. No row: the user is no member, or the channel is
-- dissolved.
-- $1 channel id, $2 user id, $3 most members of a channel in which it is told
SELECT c.is_told,
       CASE WHEN c.is_told
            THEN pg_notify('im_live', jsonb_build_object('typing', jsonb_build_object(
                     'channel_id', m.channel_id::text, 'user_id', m.user_id))::text)::text END AS signal
FROM t_im_channel_user m
CROSS JOIN LATERAL (
    SELECT member_count <= $3::integer AS is_told FROM t_im_channel
    WHERE channel_id = m.channel_id AND dissolved_at IS NULL
    OFFSET 0
) AS c
WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
