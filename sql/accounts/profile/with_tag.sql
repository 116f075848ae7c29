-- A page of active users with a tag, by id; on request only those of a region.
-- $1 tag, $2 region or null, $3 after this user id, $4 most rows, $5 the external user who looks, or null
SELECT u.user_id, u.name, u.head_icon, u.kind, u.title
FROM t_im_account_tag t
CROSS JOIN LATERAL (
    -- OFFSET 0 makes each user a key lookup, so that the tags are read in order, no further than the page.
    SELECT u.user_id, u.name, u.head_icon, u.kind, u.title
    FROM t_im_user u
    JOIN t_im_account a ON a.user_id = u.user_id
    WHERE u.user_id = t.user_id AND u.active AND ($2::text IS NULL OR a.region = $2)
      AND ($5::text IS NULL OR im_sees($5, u.user_id))
    OFFSET 0
) AS u
WHERE t.tag = $1::text AND t.user_id > $3::text
ORDER BY t.user_id
LIMIT $4::bigint
