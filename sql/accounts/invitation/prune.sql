-- Deletes invitations that have expired.
-- $1 now, $2 most rows
DELETE FROM t_im_invitation
WHERE invitation_id IN (SELECT invitation_id FROM t_im_invitation WHERE expires_at <= $1::timestamptz
                        ORDER BY expires_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)
