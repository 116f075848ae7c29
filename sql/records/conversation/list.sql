-- The conversations of a user: pinned ones first, then unread ones, then by latest activity, and the number of unread
-- messages in all of them. The cost grows with the number of channels. The channel row holds the last message, and the
-- membership the read cursor. There is always a row, so that the number is there on an empty page, too.
-- $1 user id, $2/$3/$4/$5 (pinned, unread, sorted_at, channel_id) of the last entry or nulls
-- $6 entries changed after this are repeated, so that no moved entry is missed, $7 limit
WITH own AS MATERIALIZED (
    -- The few channels that are pinned, or whose place has changed by that. Arrays, so that no plan joins them.
    SELECT coalesce(array_agg(channel_id) FILTER (WHERE pinned), '{}') AS pinned,
           coalesce(array_agg(channel_id) FILTER (WHERE moved_at > $6::timestamptz), '{}') AS moved
    FROM t_im_channel_preference WHERE user_id = $1
),
mine AS MATERIALIZED (
    -- Only the columns that the order needs. The rest is read for the channels of the page.
    SELECT u.channel_id, u.read_seq, u.channel_id = ANY (own.pinned) AS pinned, u.unread_count,
           greatest(u.last_server_time, u.joined_at) AS sorted_at
    FROM own
    CROSS JOIN v_im_unread u
    WHERE u.user_id = $1
),
page AS MATERIALIZED (
    (SELECT mine.*, true AS in_page FROM mine
     WHERE $5::bigint IS NULL OR (pinned, unread_count > 0, sorted_at, channel_id) < ($2::boolean, $3::boolean, $4::timestamptz, $5)
     ORDER BY pinned DESC, unread_count > 0 DESC, sorted_at DESC, channel_id DESC
     LIMIT $7)
    UNION ALL
    SELECT mine.*, false FROM mine CROSS JOIN own
    WHERE (sorted_at > $6::timestamptz OR channel_id = ANY (own.moved))
      AND NOT (mine.pinned, unread_count > 0, sorted_at, channel_id) < ($2::boolean, $3::boolean, $4::timestamptz, $5)
)
SELECT moment.unread_total, page.channel_id, c.channel_type, c.announcement, page.unread_count, page.read_seq, c.last_seq, mentioned.seq AS mentioned_seq,
       page.sorted_at, page.pinned,
       coalesce(c.channel_name, other.name, gathered.names) AS channel_name,
       coalesce(c.picture, other.head_icon) AS picture,
       other.user_id AS peer, other.name AS peer_name, other.head_icon AS peer_icon, other.kind AS peer_kind,
       page.in_page,
       EXISTS (SELECT FROM v_im_visible v
               WHERE v.channel_id = page.channel_id AND v.user_id = $1
                 AND v.sees_from_seq <= c.last_seq AND (v.to_seq IS NULL OR v.to_seq >= c.last_seq)) AS last_is_visible,
       c.last_ms_id, c.last_server_time, c.last_sender, c.last_type,
       CASE WHEN c.last_recalled_seq < c.last_seq THEN c.last_preview ELSE '{}' END AS last_preview,
       c.last_recalled_seq = c.last_seq AS last_is_recalled,
       sender.name AS last_sender_name,
       coalesce(p.muted AND (p.mute_until IS NULL OR p.mute_until > moment.now), false) AS muted,
       CASE WHEN p.mute_until > moment.now THEN p.mute_until END AS mute_until, p.remark,
       moment.now
FROM (SELECT im_clock() AS now, coalesce(sum(unread_count), 0)::bigint AS unread_total FROM mine) AS moment
LEFT JOIN page ON true
-- OFFSET 0 makes each row a key lookup, also with a plan made while there were few.
LEFT JOIN LATERAL (SELECT * FROM t_im_channel WHERE channel_id = page.channel_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (
    SELECT muted, mute_until, remark FROM t_im_channel_preference WHERE user_id = $1 AND channel_id = page.channel_id
    OFFSET 0
) AS p ON true
LEFT JOIN LATERAL (
    SELECT user_id, name, head_icon, kind FROM t_im_user
    WHERE user_id = CASE WHEN c.pair_low = $1 THEN c.pair_high ELSE c.pair_low END
    OFFSET 0
) AS other ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = c.last_sender OFFSET 0) AS sender ON true
LEFT JOIN LATERAL (
    -- The oldest unread message that mentions the user, alone or with all others.
    SELECT min(first.seq) AS seq
    FROM (VALUES ($1::text), ('/all')) AS meant (user_id)
    CROSS JOIN LATERAL (
        SELECT seq FROM t_im_mention
        WHERE user_id = meant.user_id AND channel_id = page.channel_id AND seq > page.read_seq AND sender <> $1
        ORDER BY user_id, channel_id, seq LIMIT 1
    ) AS first
    WHERE page.unread_count > 0
) AS mentioned ON true
LEFT JOIN LATERAL (
    -- A group without a name shows the names of its first members.
    SELECT string_agg(u.name, ', ') AS names
    FROM (SELECT user_id FROM t_im_channel_user
          WHERE channel_id = page.channel_id AND to_seq IS NULL AND user_id <> $1
          ORDER BY channel_id, user_id LIMIT 4) AS first
    CROSS JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = first.user_id OFFSET 0) AS u
    WHERE c.channel_name IS NULL AND c.channel_type = 'group'
) AS gathered ON true
ORDER BY page.pinned DESC, page.unread_count > 0 DESC, page.sorted_at DESC, page.channel_id DESC
