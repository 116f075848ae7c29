-- Makes messages urgent for receivers, unless they have too many open urgent ones. A pair that is urgent already stays
-- so. Pairs that are read, and recalled messages, are left out. An earlier statement holds the lock of urgent ones, and
-- one before has deleted those that are no longer open, so that the counts are exact. Pairs are looked up by key, and
-- rows that count once for each receiver.
-- $1 user ids, $2 ms_ids, $3 channel ids, $4 seqs: one element per pair; $5 most open ones of a receiver
-- is_over: the receiver has too many; is_new: this was not known before
WITH given AS MATERIALIZED (
    SELECT DISTINCT g.user_id, g.ms_id, g.channel_id, g.seq
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS g (user_id, ms_id, channel_id, seq)
    WHERE EXISTS (SELECT FROM t_im_channel_user
                  WHERE channel_id = g.channel_id AND user_id = g.user_id AND to_seq IS NULL
                    AND from_seq <= g.seq AND read_seq < g.seq OFFSET 0)
      AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = g.ms_id OFFSET 0)
),
known AS MATERIALIZED (
    SELECT given.*, u.is_over AS was_over, row_number() OVER (PARTITION BY given.user_id ORDER BY given.ms_id) AS place
    FROM given
    LEFT JOIN LATERAL (
        SELECT is_over FROM t_im_urgent WHERE ms_id = given.ms_id AND user_id = given.user_id OFFSET 0
    ) AS u ON true
),
counted AS MATERIALIZED (
    SELECT known.*,
           CASE WHEN place = 1
                THEN (SELECT count(*) FROM t_im_urgent u WHERE u.user_id = known.user_id AND NOT u.is_over) END AS open
    FROM known
),
judged AS MATERIALIZED (
    SELECT user_id, ms_id, channel_id, seq, was_over,
           was_over IS DISTINCT FROM false
           AND max(open) OVER (PARTITION BY user_id)
               + row_number() OVER (PARTITION BY user_id, was_over IS DISTINCT FROM false ORDER BY ms_id) > $5::integer
               AS is_over
    FROM counted
),
kept AS (
    INSERT INTO t_im_urgent AS u (ms_id, user_id, channel_id, seq, is_over)
    SELECT ms_id, user_id, channel_id, seq, is_over FROM judged
    WHERE was_over IS NULL OR was_over AND NOT is_over
    ORDER BY ms_id, user_id
    ON CONFLICT (ms_id, user_id) DO UPDATE SET is_over = false WHERE u.is_over AND NOT EXCLUDED.is_over
)
SELECT user_id, ms_id, is_over, was_over IS NULL AS is_new FROM judged ORDER BY ms_id, user_id
