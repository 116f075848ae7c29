-- Pauses a notification without progress, so that the others go on: other transactions hold all its channels.
-- $1 notification id, $2 now, $3 pause in milliseconds
UPDATE t_im_notification
SET paused_at = $2::timestamptz, paused_until = $2::timestamptz + $3::bigint * interval '1 millisecond'
WHERE notification_id = $1 AND is_open
  -- The longer pause of a step that has failed meanwhile stays.
  AND (paused_until IS NULL OR paused_until < $2::timestamptz + $3::bigint * interval '1 millisecond')
