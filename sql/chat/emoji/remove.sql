-- Removes an emoji. Messages keep its name as text.
-- $1 emoji id
DELETE FROM t_im_emoji WHERE emoji_id = $1
