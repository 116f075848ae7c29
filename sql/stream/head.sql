-- Where the log of events stands, whether anybody may listen, and from which event on it is whole.
-- $1 how long before the end of listening it is put off, in milliseconds
SELECT h.last_event_id, h.complete_from,
       (SELECT min(event_id) FROM t_im_event) AS oldest,
       h.streams_until < im_clock() + $1::bigint * interval '1 millisecond' AS due
FROM t_im_event_head h
