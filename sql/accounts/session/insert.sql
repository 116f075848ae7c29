-- Begins a session. Its user is seen now. Its tokens are not in use yet: the answer may be lost.
-- $1 session id, $2 user id, $3 key of its tokens, $4 SHA-256 of the first one, $5 now, $6 expiry, $7 device, $8 address
WITH seen AS (
    UPDATE t_im_account SET last_seen_at = greatest(last_seen_at, $5::timestamptz) WHERE user_id = $2::text
)
INSERT INTO t_im_session
    (session_id, user_id, chain_key, refresh_hash, generation, seen_generation, rotated_at, created_at, last_seen_at,
     expires_at, device, address)
VALUES ($1::bytea, $2::text, $3::bytea, $4::bytea, 0, -1, $5::timestamptz, $5, $5, $6::timestamptz, $7::text, $8::text)
