-- What a reader may see of a channel, as far as there are messages; nothing if they are no member now.
-- $1 channel id, $2 reader
SELECT i.sees_from_seq AS from_seq, least(i.to_seq, c.last_seq) AS to_seq
FROM t_im_channel_user i
JOIN t_im_channel c USING (channel_id)
WHERE i.channel_id = $1 AND i.user_id = $2 AND i.sees_from_seq <= c.last_seq
  AND EXISTS (SELECT FROM t_im_channel_user
              WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL)
ORDER BY i.from_seq
