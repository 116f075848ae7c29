-- Locks a department group against sends, joins and leaves.
-- $1 channel id
SELECT c.owner, c.dissolved_at
FROM t_im_channel c
WHERE c.channel_id = $1 AND EXISTS (SELECT FROM t_im_department_group g WHERE g.channel_id = c.channel_id)
FOR NO KEY UPDATE OF c
