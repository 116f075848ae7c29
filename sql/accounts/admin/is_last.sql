-- Locks the administrators, if a user is one, and says whether no other of them can sign in. Of two who cancel at once, the
-- second waits here and sees that the first has gone.
-- $1 user id, $2 now
WITH admin AS MATERIALIZED (
    SELECT a.user_id, coalesce(a.suspended_until <= $2::timestamptz, true) AS may_sign_in
    FROM t_im_account a
    WHERE 'admin' = ANY (a.roles)
      AND EXISTS (SELECT FROM t_im_account own WHERE own.user_id = $1::text AND 'admin' = ANY (own.roles))
    ORDER BY a.user_id
    FOR UPDATE
)
SELECT coalesce(bool_or(a.user_id = $1), false)
   AND NOT coalesce(bool_or(a.user_id <> $1 AND a.may_sign_in AND u.active), false)
FROM admin a
JOIN t_im_user u ON u.user_id = a.user_id
