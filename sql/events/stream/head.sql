-- The position of the event log, whether it must be extended, and from which event it is complete. An end too
-- far in the future was set before the clock stepped back.
-- $1 half of the extension, in milliseconds
SELECT h.last_event_id, h.complete_from,
       (SELECT min(event_id) FROM t_im_event) AS oldest,
       h.streams_until NOT BETWEEN im_clock() + $1::bigint * interval '1 millisecond'
                           AND im_clock() + 2 * $1::bigint * interval '1 millisecond' + interval '1 minute' AS due
FROM t_im_event_head h
