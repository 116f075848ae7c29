-- Distributes noted verdicts among their users. A user's reminder is due some time after the first one. Applications,
-- users who have left, and users who want no reminders have none.
-- $1 now, $2 milliseconds until a reminder is due, $3 most notes, $4 most receivers; the first note is always taken
WITH picked AS MATERIALIZED (
    SELECT unreached_id
    FROM (SELECT unreached_id, sum(bit_count(places)) OVER in_order - bit_count(places) AS receivers_before
          FROM (SELECT unreached_id, places FROM t_im_unreached ORDER BY unreached_id LIMIT $3::integer) AS oldest
          WINDOW in_order AS (ORDER BY unreached_id)) AS summed
    WHERE receivers_before < $4::integer
),
taken AS (
    DELETE FROM t_im_unreached WHERE unreached_id = ANY (ARRAY(SELECT unreached_id FROM picked))
    RETURNING channel_id, ms_id, seq, block, places, at
),
receiver AS MATERIALIZED (
    SELECT taken.channel_id, taken.ms_id, taken.seq, taken.at, s.slot, s.user_id
    FROM taken
    CROSS JOIN LATERAL (
        SELECT slot, user_id FROM t_im_channel_slot
        WHERE channel_id = taken.channel_id AND slot BETWEEN taken.block << 10 AND (taken.block << 10) + 1023
        OFFSET 0
    ) AS s
    CROSS JOIN LATERAL (SELECT FROM t_im_user WHERE user_id = s.user_id AND active AND kind <> 'application' OFFSET 0) AS u
    WHERE im_bit(taken.places, s.slot & 1023) = 1
      AND NOT EXISTS (SELECT FROM t_im_preference WHERE user_id = s.user_id AND NOT offline_reminder OFFSET 0)
),
waiting AS (
    INSERT INTO t_im_reminder AS r (user_id, due_at, set_at, since)
    SELECT user_id, min(at) + $2::bigint * interval '1 millisecond', $1::timestamptz, min(at)
    FROM receiver GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET due_at = EXCLUDED.due_at, set_at = EXCLUDED.set_at, since = EXCLUDED.since
    WHERE r.due_at IS NULL
),
noted AS (
    INSERT INTO t_im_reminder_channel AS c (user_id, channel_id, slot, from_seq, to_seq, from_ms_id, since)
    SELECT user_id, channel_id, min(slot), min(seq), max(seq), min(ms_id), min(at)
    FROM receiver GROUP BY user_id, channel_id ORDER BY user_id, channel_id
    ON CONFLICT (user_id, channel_id) DO UPDATE
    SET from_seq = least(c.from_seq, EXCLUDED.from_seq), to_seq = greatest(c.to_seq, EXCLUDED.to_seq),
        from_ms_id = least(c.from_ms_id, EXCLUDED.from_ms_id), since = least(c.since, EXCLUDED.since)
)
SELECT count(*) AS notes FROM taken
