-- Sets new times for reminders that cannot be sent yet.
-- $1 user ids, $2 due at: one element per user; $3 now
UPDATE t_im_reminder r SET due_at = given.due_at, set_at = $3
FROM unnest($1::text[], $2::timestamptz[]) AS given (user_id, due_at)
WHERE r.user_id = ANY (ARRAY[given.user_id])
