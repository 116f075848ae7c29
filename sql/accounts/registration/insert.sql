-- Stores a new account. No row is written if its username is taken, or looks like one that is.
-- $1 user id, $2 username, $3 folded, $4 what it looks like, $5 hash of the password, $6 roles, $7 now, $8 when the password
-- was set, $9 SHA-256 of a one-time code, $10 when that ends
INSERT INTO t_im_account
    (user_id, username, username_folded, username_shape, password_hash, roles, created_at, password_changed_at, reset_hash,
     reset_expires_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text[], $7::timestamptz, $8::timestamptz, $9::bytea,
        $10::timestamptz)
ON CONFLICT DO NOTHING
