-- When the schedule last began each job.
SELECT name, begun_at FROM t_im_schedule ORDER BY name
