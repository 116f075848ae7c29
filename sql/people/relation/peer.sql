-- The other user of a direct channel, for a member who does not know yet that the friendship has ended.
-- $1 channel id, $2 user id
SELECT CASE c.pair_low WHEN m.user_id THEN c.pair_high ELSE c.pair_low END AS other_id
FROM t_im_channel c
JOIN t_im_channel_user m ON m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL
WHERE c.channel_id = $1 AND c.pair_low IS NOT NULL AND m.talk = 'unfriended'
