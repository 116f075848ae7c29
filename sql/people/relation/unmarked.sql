-- Pairs whose direct channel, one of the newest channels, does not know what they are to each other.
-- $1 how many of the newest channels to look at, $2 the earliest time of their creation
SELECT newest.pair_low, newest.pair_high
FROM (SELECT channel_id, pair_low, pair_high, create_time FROM t_im_channel ORDER BY channel_id DESC LIMIT $1::bigint) AS newest
WHERE newest.pair_low IS NOT NULL AND newest.create_time >= $2
  AND EXISTS (
    SELECT FROM t_im_channel_user m
    LEFT JOIN LATERAL (
        SELECT friend, blocked FROM t_im_relation
        WHERE user_id = m.user_id
          AND other_id = CASE newest.pair_low WHEN m.user_id THEN newest.pair_high ELSE newest.pair_low END OFFSET 0) AS r ON true
    WHERE m.channel_id = newest.channel_id AND m.to_seq IS NULL
      AND m.talk IS DISTINCT FROM CASE WHEN r.blocked THEN 'blocked' WHEN r.friend IN ('friend', 'unfriended') THEN r.friend END)
