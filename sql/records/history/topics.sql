-- The topics of a channel whose last message the reader may see, the last message first.
-- $1 channel id, $2 reader, $3 last message below this ms_id, $4 limit
SELECT t.topic, t.last_seq, t.last_ms_id, t.last_at
FROM t_im_topic t
WHERE t.channel_id = $1 AND t.last_ms_id < $3
  -- What came before a newcomer is not even looked at.
  AND t.last_ms_id > (SELECT min(CASE WHEN sees_from_seq = from_seq THEN from_ms_id ELSE 0 END)
                      FROM v_im_visible WHERE channel_id = $1 AND user_id = $2)
  AND EXISTS (SELECT FROM v_im_visible v
              WHERE v.channel_id = $1 AND v.user_id = $2 AND t.last_seq >= v.sees_from_seq
                AND (v.to_seq IS NULL OR t.last_seq <= v.to_seq)
              OFFSET 0)
ORDER BY t.last_ms_id DESC
LIMIT $4
