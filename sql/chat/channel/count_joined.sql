-- The member count of a channel if these users joined.
-- $1 channel id, $2 user ids
SELECT c.member_count + (
    SELECT count(*) FROM unnest($2::text[]) AS given (user_id)
    -- OFFSET 0 makes each user a key lookup. A join could compare each user with each member.
    WHERE NOT EXISTS (SELECT FROM t_im_channel_user m
                      WHERE m.channel_id = $1 AND m.user_id = given.user_id AND m.to_seq IS NULL OFFSET 0))
FROM t_im_channel c
WHERE c.channel_id = $1
