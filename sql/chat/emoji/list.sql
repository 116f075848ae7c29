-- All emoji, by id.
SELECT emoji_id, address FROM t_im_emoji ORDER BY emoji_id
