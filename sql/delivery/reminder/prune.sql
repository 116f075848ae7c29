-- Deletes reminders that hold up no further one.
-- $1 reminded before, $2 most
DELETE FROM t_im_reminder
WHERE user_id = ANY (ARRAY(
    SELECT user_id FROM t_im_reminder WHERE due_at IS NULL AND reminded_at < $1 ORDER BY reminded_at LIMIT $2))
  -- Not one that was set meanwhile.
  AND due_at IS NULL AND reminded_at < $1
