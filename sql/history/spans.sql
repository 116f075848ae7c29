-- What a person may see of a channel, as far as there are messages: an empty span where there are none, no row
-- if they are no member now.
-- $1 channel id, $2 user id
SELECT v.sees_from_seq AS from_seq, least(v.to_seq, c.last_seq) AS to_seq
FROM v_im_visible v
JOIN t_im_channel c USING (channel_id)
WHERE v.channel_id = $1 AND v.user_id = $2
ORDER BY v.from_seq
