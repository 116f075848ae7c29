-- Both rows of a pair, the user's first, and what the directory says of both. An earlier statement locks them.
-- $1 user, $2 the other one
SELECT given.user_id, r.friend, coalesce(r.follows, false) AS follows, coalesce(r.followed, false) AS followed,
       coalesce(r.blocks, false) AS blocks, coalesce(r.blocked, false) AS blocked, r.message, u.kind, u.active
FROM (VALUES (1, $1::text, $2::text), (2, $2::text, $1::text)) AS given (place, user_id, other_id)
LEFT JOIN LATERAL (
    SELECT * FROM t_im_relation WHERE user_id = given.user_id AND other_id = given.other_id OFFSET 0) AS r ON true
LEFT JOIN LATERAL (SELECT kind, active FROM t_im_user WHERE user_id = given.user_id OFFSET 0) AS u ON true
ORDER BY given.place
