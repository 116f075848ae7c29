-- Stores an invitation, unless there are too many.
-- $1 SHA-256 of the code, $2 note, $3 most uses, $4 who made it, $5 now, $6 expiry, $7 most invitations
INSERT INTO t_im_invitation (code_hash, note, uses_max, created_by, created_at, expires_at)
SELECT $1::bytea, $2::text, $3::integer, $4::text, $5::timestamptz, $6::timestamptz
WHERE (SELECT count(*) FROM t_im_invitation WHERE expires_at > $5) < $7::bigint
RETURNING invitation_id, note, uses, uses_max, created_by, created_at, expires_at
