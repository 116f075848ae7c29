-- The users whose reminders are due, in the order of their times, until they have as many channels as one transaction
-- should read. The first is always given.
-- $1 now, $2 most users, $3 most channels
-- since: the first verdict; reminded_at: the last reminder, unless the clock has stepped back since
WITH due AS MATERIALIZED (
    SELECT user_id, due_at, since, reminded_at FROM t_im_reminder WHERE due_at <= $1 ORDER BY due_at LIMIT $2::integer
),
counted AS (
    SELECT due.*, sum(c.channels) OVER in_order - c.channels AS channels_before
    FROM due
    CROSS JOIN LATERAL (SELECT count(*) AS channels FROM t_im_reminder_channel WHERE user_id = due.user_id OFFSET 0) AS c
    WINDOW in_order AS (ORDER BY due.due_at, due.user_id)
)
SELECT user_id, since, CASE WHEN NOT im_stepped_back(reminded_at, $1) THEN reminded_at END AS reminded_at
FROM counted
WHERE channels_before < $3::integer
ORDER BY due_at, user_id
