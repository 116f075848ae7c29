-- Keeps the folded texts of a group, for the search.
-- $1 channel id, $2 words
UPDATE t_im_channel SET words = $2 WHERE channel_id = $1
