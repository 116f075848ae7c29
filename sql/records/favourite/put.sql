-- Adds a message to the favourites of a user, or changes the note. Nothing is added beyond the maximum number: then there is
-- no row.
-- $1 user id, $2 ms_id, $3 channel id, $4 seq, $5 sender, $6 server time, $7 type, $8 content, $9 what goes with it
-- $10 note or null, $11 now, $12 most favourites
INSERT INTO t_im_favourite (user_id, ms_id, channel_id, seq, sender, server_time, ms_type, content, extra, note, added_at)
SELECT $1, $2, $3, $4, $5, $6, $7, CASE WHEN recalled THEN '{}' ELSE $8::jsonb END, CASE WHEN recalled THEN '{}' ELSE $9::jsonb END,
       $10, $11
-- The message may have been recalled since it was read.
FROM (SELECT EXISTS (SELECT FROM t_im_recall WHERE ms_id = $2) AS recalled) AS message
WHERE EXISTS (SELECT FROM t_im_favourite WHERE user_id = $1 AND ms_id = $2)
   OR (SELECT count(*) FROM t_im_favourite WHERE user_id = $1) < $12
ON CONFLICT (user_id, ms_id) DO UPDATE SET note = EXCLUDED.note
RETURNING favourite_id
