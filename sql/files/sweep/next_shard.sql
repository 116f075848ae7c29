-- Takes the next part of the store to compare with the rows, if it is due. Gives also when the database was restored.
-- $1 now, $2 when the part after it is due
UPDATE t_im_file_store s
SET shard = (s.shard + 1) % 256, due_at = $2
FROM (SELECT shard FROM t_im_file_store FOR UPDATE) AS before
WHERE s.due_at <= $1 OR s.due_at > $2
RETURNING before.shard, (SELECT restored_at FROM t_im_database) AS restored_at
