-- Replaces the notification settings of a user. The head is locked first, so that revisions become visible in order.
-- $1 user id, $2 quiet hours, $3 every_s, $4 ways, $5 offline reminder, $6 offline priority, $7 now
WITH head AS (
    UPDATE t_im_preference_head SET revision = revision + 1 RETURNING revision
)
INSERT INTO t_im_preference (user_id, quiet, every_s, ways, offline_reminder, offline_priority, revision, updated_at)
SELECT $1, $2, $3, $4, $5, $6, revision, $7 FROM head
ON CONFLICT (user_id) DO UPDATE
SET quiet = EXCLUDED.quiet, every_s = EXCLUDED.every_s, ways = EXCLUDED.ways, offline_reminder = EXCLUDED.offline_reminder,
    offline_priority = EXCLUDED.offline_priority, revision = EXCLUDED.revision, updated_at = EXCLUDED.updated_at
