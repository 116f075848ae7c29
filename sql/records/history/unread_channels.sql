-- The channels of a user with unread messages, the newest message first, each with the read cursor.
-- $1 user id
SELECT channel_id, read_seq, read_ms_id, last_seq, last_ms_id
FROM v_im_unread
WHERE user_id = $1 AND unread_count > 0
ORDER BY last_ms_id DESC
