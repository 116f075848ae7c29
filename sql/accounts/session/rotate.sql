-- Replaces the refresh token of a session, which is locked. The client that sent it has the answer that it came with.
-- $1 session id, $2 SHA-256 of the new token, $3 now, $4 expiry, $5 SHA-256 of the token before it, $6 number of exchanges
UPDATE t_im_session
SET previous_hash = $5::bytea, refresh_hash = $2::bytea, generation = $6::integer,
    seen_generation = greatest(seen_generation, $6 - 1), rotated_at = $3::timestamptz,
    expires_at = $4::timestamptz, last_seen_at = greatest(last_seen_at, $3)
WHERE session_id = $1
