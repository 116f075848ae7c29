-- A page of active users of a region, by id.
-- $1 region, $2 after this user id, $3 most rows, $4 the external user who looks, or null
SELECT u.user_id, u.name, u.head_icon, u.kind, u.title
FROM t_im_account a
JOIN t_im_user u ON u.user_id = a.user_id
WHERE a.region = $1 AND a.user_id > $2::text AND u.active AND ($4::text IS NULL OR im_sees($4, u.user_id))
ORDER BY a.user_id
LIMIT $3::bigint
