-- The memberships of one user in a channel, oldest first.
-- $1 channel id, $2 user id
SELECT i.user_id, u.name, u.kind, u.active, i.from_seq, i.to_seq, i.sees_from_seq, i.joined_at, i.role, i.read_seq,
       greatest(i.received_seq, i.read_seq) AS received_seq
FROM t_im_channel_user i
CROSS JOIN LATERAL (SELECT name, kind, active FROM t_im_user WHERE user_id = i.user_id OFFSET 0) AS u
WHERE i.channel_id = $1 AND i.user_id = $2
ORDER BY i.from_seq
