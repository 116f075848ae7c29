-- The spans of a channel that a user may see, cut at the last message. A channel without messages gives an
-- empty span. There is no row if the user is not a member now.
-- $1 channel id, $2 user id
SELECT v.sees_from_seq AS from_seq, least(v.to_seq, c.last_seq) AS to_seq
FROM v_im_visible v
JOIN t_im_channel c USING (channel_id)
WHERE v.channel_id = $1 AND v.user_id = $2
ORDER BY v.from_seq
