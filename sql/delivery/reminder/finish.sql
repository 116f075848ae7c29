-- Ends reminders. A row stays only to know when a user with `every_s` was last told of.
-- $1 user ids, $2 those of them with `every_s` who were named to observers now, $3 now
WITH channels AS (
    DELETE FROM t_im_reminder_channel WHERE user_id = ANY (ARRAY(SELECT unnest($1::text[])))
),
gone AS (
    DELETE FROM t_im_reminder
    WHERE user_id = ANY (ARRAY(SELECT unnest($1::text[]))) AND reminded_at IS NULL AND user_id <> ALL ($2::text[])
)
UPDATE t_im_reminder
SET due_at = NULL, reminded_at = CASE WHEN user_id = ANY ($2::text[]) THEN $3 ELSE reminded_at END
WHERE user_id = ANY (ARRAY(SELECT unnest($1::text[]))) AND (reminded_at IS NOT NULL OR user_id = ANY ($2::text[]))
