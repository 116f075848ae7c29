-- Where the log of events stands, whether the end of listening is to be put off, and from which event on it
-- is whole. An end further ahead than it is ever put was set before the clock stepped back.
-- $1 half of how far it is put ahead, in milliseconds
SELECT h.last_event_id, h.complete_from,
       (SELECT min(event_id) FROM t_im_event) AS oldest,
       h.streams_until NOT BETWEEN im_clock() + $1::bigint * interval '1 millisecond'
                           AND im_clock() + 2 * $1::bigint * interval '1 millisecond' + interval '1 minute' AS due
FROM t_im_event_head h
