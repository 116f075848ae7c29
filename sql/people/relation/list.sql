-- One page of the relations of a user, by the id of the other one. That the other one blocks the user is not shown.
-- $1 user id, $2 only of this kind, or null, $3 after this id, $4 limit
WITH page AS MATERIALIZED (
    -- Each branch is read only for its kinds.
    (SELECT * FROM t_im_relation
     WHERE $2::text IS NULL AND user_id = $1 AND other_id > $3 AND (friend IS NOT NULL OR follows OR followed OR blocks)
     ORDER BY other_id LIMIT $4)
    UNION ALL
    (SELECT * FROM t_im_relation
     WHERE $2 = 'follower' AND user_id = $1 AND other_id > $3 AND followed
     ORDER BY other_id LIMIT $4)
    UNION ALL
    (SELECT * FROM t_im_relation
     WHERE $2 <> 'follower' AND user_id = $1 AND other_id > $3 AND (friend IS NOT NULL OR follows OR blocks)
       AND CASE $2 WHEN 'follow' THEN follows WHEN 'block' THEN blocks
                   WHEN 'friend' THEN friend IN ('friend', 'unfriended') ELSE friend = $2 END
     ORDER BY other_id LIMIT $4)
)
SELECT p.other_id, p.friend, p.follows, p.followed, p.blocks, p.blocked, p.message, p.remark, p.tags, p.changed_at,
       u.name, CASE WHEN u.active THEN u.head_icon END AS head_icon, u.active
FROM page p
CROSS JOIN LATERAL (SELECT name, head_icon, active FROM t_im_user WHERE user_id = p.other_id OFFSET 0) AS u
ORDER BY p.other_id
