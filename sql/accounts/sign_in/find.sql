-- The account with a username, and whether its user has a session from this address.
-- $1 username, folded; $2 address
SELECT a.user_id, a.username, a.password_hash, a.password_changed_at, a.suspended_until, a.suspended_reason, u.active,
       EXISTS (SELECT FROM t_im_session s WHERE s.user_id = a.user_id AND s.address = $2) AS is_familiar
FROM t_im_account a
JOIN t_im_user u ON u.user_id = a.user_id
WHERE a.username_folded = $1
