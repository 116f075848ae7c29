-- Gives an endpoint a new secret. Those before it sign until a time, if they did not end before; what
-- has ended goes. The endpoint is locked.
-- $1 callback id, $2 sealed, $3 now, $4 when those before it end
WITH ended AS (
    DELETE FROM t_im_callback_secret WHERE callback_id = $1 AND expires_at <= $3
),
ending AS (
    UPDATE t_im_callback_secret SET expires_at = least(expires_at, $4)
    WHERE callback_id = $1 AND (expires_at IS NULL OR expires_at > $3)
)
INSERT INTO t_im_callback_secret (callback_id, sealed, created_at) VALUES ($1, $2, $3)
RETURNING secret_id
