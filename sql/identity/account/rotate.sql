-- Adds a key of access tokens, and deletes the keys that were replaced more than a day ago.
-- $1 seed
WITH added AS (
    INSERT INTO t_im_account_key (seed, created_at) VALUES ($1::bytea, im_clock())
)
DELETE FROM t_im_account_key k
WHERE EXISTS (SELECT FROM t_im_account_key newer
              WHERE newer.key_id > k.key_id AND newer.created_at < im_clock() - interval '1 day')
