-- Sets the status that a user shows, and signals it to the replicas.
-- $1 user id, $2 text, $3 emoji, or null, $4 until when, or null, $5 now
WITH written AS (
    INSERT INTO t_im_user_status AS s (user_id, text, emoji, until, changed_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (user_id) DO UPDATE
    SET text = excluded.text, emoji = excluded.emoji, until = excluded.until, changed_at = excluded.changed_at
    RETURNING user_id
)
SELECT im_signal_users(ARRAY[user_id]) AS signals FROM written
