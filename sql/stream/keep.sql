-- Has every event written for a while, because somebody listens or may come back. If nobody could until
-- now, transactions under way leave theirs out: until they have ended the log is whole from nowhere on,
-- which is the greatest id.
-- $1 how long, in milliseconds
UPDATE t_im_event_head
SET complete_from = CASE WHEN streams_until > im_clock() THEN complete_from ELSE 9223372036854775807 END,
    streams_until = im_clock() + $1::bigint * interval '1 millisecond'
