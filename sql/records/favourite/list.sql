-- The favourites of a user, the last one added first, or a single one. Each of both ways has one index that fits, whatever
-- the statistics say.
-- $1 user id, $2 below this favourite, $3 ms_id, or null for all, $4 limit
SELECT f.favourite_id, f.ms_id, f.channel_id, f.seq, f.server_time, f.sender, u.name AS sender_name, f.ms_type, f.content,
       CASE WHEN f.extra ? 'reply_to' THEN im_shown_extra(f.extra, f.channel_id, NULL) ELSE f.extra END AS extra, 0::bigint AS replies,
       r.recalled_by, r.recalled_at, f.note, f.added_at
FROM (
    (SELECT * FROM t_im_favourite
     WHERE $3::bigint IS NULL AND user_id = $1 AND favourite_id < $2 ORDER BY favourite_id DESC LIMIT $4)
    UNION ALL
    (SELECT * FROM t_im_favourite WHERE user_id = $1 AND ms_id = $3 OFFSET 0)
) AS f
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = f.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = f.ms_id OFFSET 0) AS r ON true
ORDER BY f.favourite_id DESC
