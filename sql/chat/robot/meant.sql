-- The members of a channel whom a body means, by user id or by phone, without robots. A phone can have a country code in front.
-- $1 channel id, $2 user ids, $3 phones: digits alone, $4 most users
SELECT m.user_id
FROM t_im_channel_user m
CROSS JOIN LATERAL (SELECT regexp_replace(phone, '[^0-9]', '', 'g') AS digits, active, source
                    FROM t_im_user WHERE user_id = m.user_id OFFSET 0) AS u
WHERE m.channel_id = $1 AND m.to_seq IS NULL AND u.active AND u.source <> 'robot'
  AND (m.user_id = ANY ($2::text[])
       OR length(u.digits) >= 8 AND EXISTS (
           SELECT FROM unnest($3::text[]) AS given (phone)
           WHERE length(given.phone) >= 8 AND (u.digits = given.phone
                 OR right(u.digits, length(given.phone)) = given.phone OR right(given.phone, length(u.digits)) = u.digits)))
ORDER BY m.user_id
LIMIT $4
