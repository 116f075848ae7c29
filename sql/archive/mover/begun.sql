-- Records when the schedule last began this job.
-- $1 name, $2 when
INSERT INTO t_im_schedule (name, begun_at) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET begun_at = EXCLUDED.begun_at
