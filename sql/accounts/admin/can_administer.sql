-- Whether there is an administrator who can sign in.
-- $1 now
SELECT EXISTS (
    SELECT
    FROM t_im_account a
    JOIN t_im_user u ON u.user_id = a.user_id
    WHERE 'admin' = ANY (a.roles)
      AND u.active
      AND coalesce(a.suspended_until <= $1::timestamptz, true)
)
