-- The keys of access tokens, the newest first.
SELECT seed FROM t_im_account_key ORDER BY key_id DESC
