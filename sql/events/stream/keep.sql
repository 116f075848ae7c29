-- Has every event written for a while, for current and returning listeners. If the log was off, running
-- transactions leave their events out. The log is then complete from nowhere on, which is the greatest id,
-- until they have ended.
-- $1 duration in milliseconds
UPDATE t_im_event_head
SET complete_from = CASE WHEN streams_until > im_clock() THEN complete_from ELSE 9223372036854775807 END,
    streams_until = im_clock() + $1::bigint * interval '1 millisecond'
