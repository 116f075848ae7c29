-- A member's read cursor and unread count: the messages after the cursor, without the member's own and without
-- recalled ones of others.
-- $1 channel id, $2 user id
SELECT read_seq, unread_count FROM v_im_unread WHERE channel_id = $1 AND user_id = $2
