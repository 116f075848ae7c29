-- The invites of a group that can be used, newest first, or one of them.
-- $1 channel id, $2 now, $3 invite id or null, $4 creator, or null for any
SELECT invite_id, channel_id, code, uses_left, expires_at, created_by, created_at
FROM t_im_invite
WHERE channel_id = $1 AND uses_left > 0 AND expires_at > $2 AND ($3::bigint IS NULL OR invite_id = $3)
  AND ($4::text IS NULL OR created_by = $4)
ORDER BY invite_id DESC
