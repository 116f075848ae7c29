-- A person's conversations: those with unread messages first, then the latest. Costs the
-- number of channels: cursors and the last message lie on the channel.
-- $1 user id, $2/$3/$4 the last entry's (unread, sorted_at, channel_id) or nulls, $5 entries
-- changed after this come again, so that none that moved is missed, $6 limit
WITH mine AS MATERIALIZED (
    SELECT c.*, m.read_seq, m.sees_from_seq, m.from_seq,
           (c.last_seq - m.read_seq) - (coalesce(s.sent_count, 0) - m.read_sent_count) AS unread_count,
           greatest(c.last_server_time, m.joined_at) AS sorted_at
    FROM t_im_channel_user m
    JOIN t_im_channel c ON c.channel_id = m.channel_id
    LEFT JOIN t_im_channel_sender s ON s.channel_id = m.channel_id AND s.user_id = m.user_id
    WHERE m.user_id = $1 AND m.to_seq IS NULL
),
page AS MATERIALIZED (
    (SELECT mine.*, true AS in_page FROM mine
     WHERE $4::bigint IS NULL OR (unread_count > 0, sorted_at, channel_id) < ($2::boolean, $3::timestamptz, $4)
     ORDER BY unread_count > 0 DESC, sorted_at DESC, channel_id DESC
     LIMIT $6)
    UNION ALL
    SELECT mine.*, false FROM mine
    WHERE sorted_at > $5::timestamptz
      AND NOT (unread_count > 0, sorted_at, channel_id) < ($2::boolean, $3::timestamptz, $4)
)
SELECT page.channel_id, page.channel_type, page.announcement, page.unread_count, page.read_seq, page.last_seq,
       page.sorted_at,
       coalesce(page.channel_name, other.name, gathered.names) AS channel_name,
       coalesce(page.picture, other.head_icon) AS picture,
       page.in_page, page.last_seq >= page.sees_from_seq AS last_is_visible,
       page.last_ms_id, page.last_server_time, page.last_sender, page.last_type, page.last_preview,
       sender.name AS last_sender_name,
       im_clock() AS now
FROM page
LEFT JOIN t_im_user other
       ON other.user_id = CASE WHEN page.pair_low = $1 THEN page.pair_high ELSE page.pair_low END
LEFT JOIN t_im_user sender ON sender.user_id = page.last_sender
LEFT JOIN LATERAL (
    -- A group without a name is called by its first members.
    SELECT string_agg(u.name, ', ') AS names
    FROM (SELECT user_id FROM t_im_channel_user
          WHERE channel_id = page.channel_id AND to_seq IS NULL AND user_id <> $1
          ORDER BY channel_id, user_id LIMIT 4) AS first
    JOIN t_im_user u USING (user_id)
    WHERE page.channel_name IS NULL AND page.channel_type = 'group'
) AS gathered ON true
ORDER BY page.unread_count > 0 DESC, page.sorted_at DESC, page.channel_id DESC
