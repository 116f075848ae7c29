-- Whether an event waits for its id, or a row of receipts or reads has waited for the window.
-- $1 the window in ms
SELECT EXISTS (SELECT FROM t_im_event_new)
    OR EXISTS (SELECT FROM (SELECT at FROM t_im_event_tally ORDER BY tally_id LIMIT 1) AS oldest
               WHERE at NOT BETWEEN im_clock() - $1::bigint * interval '1 millisecond' AND im_clock() + interval '1 minute')
