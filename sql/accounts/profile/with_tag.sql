-- A page of active users with a tag, by id; on request only those of a region.
-- $1 tag, $2 region or null, $3 after this user id, $4 most rows, $5 the external user who looks, or null
SELECT u.user_id, u.name, u.head_icon, u.kind, u.title
FROM t_im_account a
JOIN t_im_user u ON u.user_id = a.user_id
WHERE a.tags @> ARRAY[$1::text] AND ($2::text IS NULL OR a.region = $2) AND a.user_id > $3::text AND u.active
  AND ($5::text IS NULL OR im_sees($5, u.user_id))
ORDER BY a.user_id
LIMIT $4::bigint
