-- Both rows of a pair, the user's first, what the directory says of both, and how many relations and requests each has. An
-- earlier statement locks them.
-- $1 user, $2 the other one, $3 most relations to count, $4 most requests to count
SELECT given.user_id, r.friend, coalesce(r.follows, false) AS follows, coalesce(r.followed, false) AS followed,
       coalesce(r.blocks, false) AS blocks, coalesce(r.blocked, false) AS blocked, r.message, u.kind, u.active,
       (SELECT count(*) FROM (
            SELECT FROM t_im_relation own
            WHERE own.user_id = given.user_id AND (own.friend IS NOT NULL OR own.follows OR own.blocks)
              AND (own.friend <> 'request_received' OR own.follows OR own.blocks)
            LIMIT $3::bigint) AS counted) AS relations,
       (SELECT count(*) FROM (
            SELECT FROM t_im_relation own
            WHERE own.user_id = given.user_id AND (own.friend IS NOT NULL OR own.follows OR own.blocks)
              AND own.friend = 'request_received'
            LIMIT $4::bigint) AS counted) AS requests
FROM (VALUES (1, $1::text, $2::text), (2, $2::text, $1::text)) AS given (place, user_id, other_id)
LEFT JOIN LATERAL (
    SELECT * FROM t_im_relation WHERE user_id = given.user_id AND other_id = given.other_id OFFSET 0) AS r ON true
LEFT JOIN LATERAL (SELECT kind, active FROM t_im_user WHERE user_id = given.user_id OFFSET 0) AS u ON true
ORDER BY given.place
