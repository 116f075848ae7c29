-- The group of a department, unless it is dissolved.
-- $1 department id
SELECT g.channel_id, g.department_id, g.below, g.left_out, c.channel_name, c.owner, c.member_count, c.create_time
FROM t_im_department_group g
JOIN t_im_channel c ON c.channel_id = g.channel_id
WHERE g.department_id = $1 AND c.dissolved_at IS NULL
