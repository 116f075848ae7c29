-- The profile of a user with an account.
-- $1 user id
SELECT signature, sex, birth_year, region, tags, last_seen_at FROM t_im_account WHERE user_id = $1
