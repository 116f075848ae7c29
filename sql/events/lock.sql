-- Locks the position of the sequencer, unless another one holds it. One transaction at a time assigns ids.
SELECT im_clock() AS now FROM t_im_event_head FOR UPDATE SKIP LOCKED
