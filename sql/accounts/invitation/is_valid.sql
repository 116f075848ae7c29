-- Whether a code can be used.
-- $1 SHA-256 of the code, $2 now
SELECT EXISTS (SELECT FROM t_im_invitation WHERE code_hash = $1 AND expires_at > $2::timestamptz AND uses < uses_max)
