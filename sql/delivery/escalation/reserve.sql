-- Makes messages urgent for receivers, unless they have too many open urgent ones. A pair that is urgent already stays
-- so. Pairs that are read, and recalled messages, are left out. Rows that are no longer open are deleted on the way. An
-- earlier statement holds the lock of urgent ones, so that the counts are exact.
-- $1 user ids, $2 ms_ids, $3 channel ids, $4 seqs: one element per pair; $5 most open ones of a receiver
-- is_over: the receiver has too many; is_new: this was not known before
WITH given AS MATERIALIZED (
    SELECT DISTINCT g.user_id, g.ms_id, g.channel_id, g.seq
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS g (user_id, ms_id, channel_id, seq)
    WHERE im_is_unread(g.channel_id, g.user_id, g.seq)
      AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = g.ms_id OFFSET 0)
),
held AS MATERIALIZED (
    SELECT u.user_id, u.ms_id, u.is_over,
           im_is_unread(u.channel_id, u.user_id, u.seq)
           AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = u.ms_id OFFSET 0) AS is_open
    FROM (SELECT DISTINCT user_id FROM given) AS receiver
    CROSS JOIN LATERAL (SELECT * FROM t_im_urgent WHERE user_id = receiver.user_id OFFSET 0) AS u
),
closed AS (
    DELETE FROM t_im_urgent u USING held
    WHERE u.user_id = ANY (ARRAY[held.user_id]) AND u.ms_id = ANY (ARRAY[held.ms_id]) AND NOT held.is_open
),
counted AS (
    SELECT user_id, count(*) FILTER (WHERE is_open AND NOT is_over) AS open FROM held GROUP BY user_id
),
judged AS MATERIALIZED (
    SELECT given.*, held.is_over IS NULL AS is_new,
           held.is_over IS DISTINCT FROM false
           AND coalesce(counted.open, 0)
               + row_number() OVER (PARTITION BY given.user_id, held.is_over IS DISTINCT FROM false ORDER BY given.ms_id) > $5::integer
               AS is_over
    FROM given
    LEFT JOIN held ON held.user_id = given.user_id AND held.ms_id = given.ms_id
    LEFT JOIN counted ON counted.user_id = given.user_id
),
kept AS (
    INSERT INTO t_im_urgent AS u (user_id, ms_id, channel_id, seq, is_over)
    SELECT user_id, ms_id, channel_id, seq, is_over FROM judged ORDER BY user_id, ms_id
    ON CONFLICT (user_id, ms_id) DO UPDATE SET is_over = false WHERE u.is_over AND NOT EXCLUDED.is_over
)
SELECT user_id, ms_id, is_over, is_new FROM judged ORDER BY ms_id, user_id
