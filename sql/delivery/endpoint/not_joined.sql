-- The first of these channels that a user is not a member of. No row: the user is in all of them.
-- $1 user id, $2 channel ids
-- position: counted from 0
SELECT given.position - 1 AS position
FROM unnest($2::bigint[]) WITH ORDINALITY AS given (channel_id, position)
WHERE NOT EXISTS (SELECT FROM t_im_channel_user WHERE channel_id = given.channel_id AND user_id = $1 AND to_seq IS NULL OFFSET 0)
ORDER BY given.position
LIMIT 1
