-- Counts the pushes of a day that are still queued, and its steps and reminders that wait. The day does not move before
-- they are done.
-- $1 below this ms_id
SELECT (SELECT count(*) FROM t_im_push_queue WHERE from_ms_id < $1)
     + (SELECT count(*) FROM t_im_push_commit WHERE from_ms_id < $1)
     + (SELECT count(*) FROM t_im_push_batch WHERE from_ms_id < $1)
     + (SELECT count(*) FROM t_im_escalation WHERE ms_id < $1)
     + (SELECT count(*) FROM t_im_unreached WHERE ms_id < $1)
     + (SELECT count(*) FROM t_im_reminder_channel WHERE from_ms_id < $1) AS pushes
