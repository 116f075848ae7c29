-- Marks the log as complete from the newest event on, because all transactions that could leave events out
-- have ended. A second call changes nothing.
UPDATE t_im_event_head
SET complete_from = last_event_id
WHERE complete_from = 9223372036854775807 AND streams_until > im_clock()
