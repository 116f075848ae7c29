-- The sequencer's place, if nobody else is at it: ids are given by one transaction at a time.
SELECT im_clock() AS now FROM t_im_event_head FOR UPDATE SKIP LOCKED
