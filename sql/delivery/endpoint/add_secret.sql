-- Adds a secret to an endpoint. The older secrets sign until $4, or until their own end if that is earlier;
-- expired ones are deleted. The endpoint is locked.
-- $1 callback id, $2 encrypted secret, $3 now, $4 when the older secrets end
WITH ended AS (
    DELETE FROM t_im_callback_secret WHERE callback_id = $1 AND expires_at <= $3
),
ending AS (
    UPDATE t_im_callback_secret SET expires_at = least(expires_at, $4)
    WHERE callback_id = $1 AND (expires_at IS NULL OR expires_at > $3)
)
INSERT INTO t_im_callback_secret (callback_id, sealed, created_at) VALUES ($1, $2, $3)
RETURNING secret_id
