-- A group follows a department from now on, unless the department has one: one that is dissolved makes room.
-- $1 channel id, $2 department id, $3 whether with those below, $4 revision of the directory, $5 how many did not fit
INSERT INTO t_im_department_group AS g (channel_id, department_id, below, revision, following, left_out)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (department_id) DO UPDATE
SET channel_id = EXCLUDED.channel_id, below = EXCLUDED.below, revision = EXCLUDED.revision,
    following = EXCLUDED.following, left_out = EXCLUDED.left_out
WHERE EXISTS (SELECT FROM t_im_channel c WHERE c.channel_id = g.channel_id AND c.dissolved_at IS NOT NULL)
