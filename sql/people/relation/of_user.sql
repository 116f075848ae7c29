-- The relations of a user to these others. That one of them blocks the user is not shown.
-- $1 user id, $2 the others
SELECT r.other_id, r.friend, r.follows, r.followed, r.blocks, r.blocked, r.message, r.remark, r.tags, r.changed_at,
       u.name, CASE WHEN u.active THEN u.head_icon END AS head_icon, u.active
FROM unnest($2::text[]) AS given (other_id)
CROSS JOIN LATERAL (
    SELECT * FROM t_im_relation
    WHERE user_id = $1 AND other_id = given.other_id AND (friend IS NOT NULL OR follows OR followed OR blocks) OFFSET 0) AS r
CROSS JOIN LATERAL (SELECT name, head_icon, active FROM t_im_user WHERE user_id = r.other_id OFFSET 0) AS u
