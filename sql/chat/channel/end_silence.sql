-- Ends the silence of a member. An earlier statement locks the channel.
-- $1 channel id, $2 user id
WITH ended AS (
    DELETE FROM t_im_silence WHERE channel_id = $1 AND user_id = $2
)
UPDATE t_im_channel_user SET silenced_until = NULL WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
