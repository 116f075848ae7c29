-- Links a group to a department, unless the department has a group. A dissolved group is replaced.
-- $1 channel id, $2 department id, $3 whether departments below it count, $4 revision of the directory, $5
-- users who did not fit
INSERT INTO t_im_department_group AS g (channel_id, department_id, below, revision, following, left_out)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (department_id) DO UPDATE
SET channel_id = EXCLUDED.channel_id, below = EXCLUDED.below, revision = EXCLUDED.revision,
    following = EXCLUDED.following, left_out = EXCLUDED.left_out
WHERE EXISTS (SELECT FROM t_im_channel c WHERE c.channel_id = g.channel_id AND c.dissolved_at IS NOT NULL)
