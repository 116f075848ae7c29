-- From the newest event on the log is whole: whoever could leave one out has ended. Who comes second
-- changes nothing.
UPDATE t_im_event_head
SET complete_from = last_event_id
WHERE complete_from = 9223372036854775807 AND streams_until > im_clock()
