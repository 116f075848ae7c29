-- Locks a channel of the caller, as sends and changes of members do.
-- $1 channel id, $2 caller
SELECT c.channel_id
FROM t_im_channel c
WHERE c.channel_id = $1
  AND EXISTS (SELECT FROM t_im_channel_user m WHERE m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL OFFSET 0)
FOR NO KEY UPDATE OF c
