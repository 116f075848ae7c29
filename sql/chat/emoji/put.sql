-- Adds an emoji, or changes its address.
-- $1 emoji id, $2 address
INSERT INTO t_im_emoji (emoji_id, address) VALUES ($1, $2)
ON CONFLICT (emoji_id) DO UPDATE SET address = EXCLUDED.address
