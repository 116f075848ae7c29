-- Locks the channel of a call, before the call: sends and changes of members lock it, too. No row: there is no such call, or
-- the user is no member of its channel. Without a user the worker asks.
-- $1 call id, $2 user id or null
SELECT c.channel_id
FROM t_im_call call
JOIN t_im_channel c ON c.channel_id = call.channel_id
WHERE call.call_id = $1
  AND ($2::text IS NULL
       OR EXISTS (SELECT FROM t_im_channel_user m
                  WHERE m.channel_id = call.channel_id AND m.user_id = $2 AND m.to_seq IS NULL OFFSET 0))
FOR NO KEY UPDATE OF c
