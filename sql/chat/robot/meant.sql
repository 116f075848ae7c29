-- The members of a channel that a body names, by user id or by phone, without robots. A phone can have a country code in
-- front. If more users than $4 share a number, it names the first ones.
-- $1 channel id, $2 user ids, $3 phones: digits alone, $4 most users
WITH named AS (
    SELECT given.user_id FROM unnest($2::text[]) AS given (user_id)
    UNION
    SELECT owner.user_id
    FROM unnest($3::text[]) AS given (phone)
    CROSS JOIN LATERAL (SELECT u.user_id
                        FROM t_im_user u
                        WHERE right(im_digits(u.phone), 8) = right(given.phone, 8) AND u.phone IS NOT NULL AND u.active
                          AND u.source <> 'robot'
                          AND (right(im_digits(u.phone), length(given.phone)) = given.phone
                               OR right(given.phone, length(im_digits(u.phone))) = im_digits(u.phone))
                        ORDER BY u.user_id
                        LIMIT $4) AS owner
    WHERE length(given.phone) >= 8
)
SELECT named.user_id
FROM named
CROSS JOIN LATERAL (SELECT FROM t_im_channel_user m
                    WHERE m.channel_id = $1 AND m.user_id = named.user_id AND m.to_seq IS NULL OFFSET 0) AS m
CROSS JOIN LATERAL (SELECT FROM t_im_user u
                    WHERE u.user_id = named.user_id AND u.active AND u.source <> 'robot' OFFSET 0) AS u
ORDER BY named.user_id
LIMIT $4
