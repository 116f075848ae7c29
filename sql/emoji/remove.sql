-- Removes an emoji; text that names it stays text.
-- $1 emoji id
DELETE FROM t_im_emoji WHERE emoji_id = $1
