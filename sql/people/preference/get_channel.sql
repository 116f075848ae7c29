-- The settings of a member for a channel. No row: the user is no member.
-- $1 channel id, $2 user id
SELECT coalesce(p.muted AND (p.mute_until IS NULL OR p.mute_until > moment.now), false) AS muted,
       CASE WHEN p.mute_until > moment.now THEN p.mute_until END AS mute_until,
       coalesce(p.pinned, false) AS pinned, p.remark
FROM (SELECT im_clock() AS now) AS moment
CROSS JOIN t_im_channel_user m
LEFT JOIN t_im_channel_preference p ON p.user_id = $2 AND p.channel_id = $1
WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
