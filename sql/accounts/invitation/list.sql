-- The invitations that can still be used, the newest first.
-- $1 now, $2 most rows
SELECT invitation_id, note, uses, uses_max, created_by, created_at, expires_at
FROM t_im_invitation
WHERE expires_at > $1::timestamptz AND uses < uses_max
ORDER BY invitation_id DESC
LIMIT $2::bigint
