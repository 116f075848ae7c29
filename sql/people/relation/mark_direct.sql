-- Notes in a direct channel what its sends must know of the pair. An earlier statement locks the channel.
-- $1 channel id, $2 user, $3 what the user's sends must know, $4 the other one, $5 the same for the other one
UPDATE t_im_channel_user
SET talk = CASE user_id WHEN $2 THEN $3 ELSE $5 END
WHERE channel_id = $1 AND user_id = ANY (ARRAY[$2, $4]) AND to_seq IS NULL
