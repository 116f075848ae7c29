-- Keeps a request to join. A repeat keeps its place, and the newest words count. An earlier statement locks the channel.
-- $1 channel id, $2 user id, $3 message, $4 now
INSERT INTO t_im_join_request AS r (channel_id, user_id, message, requested_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (channel_id, user_id) DO UPDATE SET message = EXCLUDED.message
RETURNING r.requested_at, xmax = 0 AS is_new
