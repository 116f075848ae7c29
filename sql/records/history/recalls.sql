-- The recalls of messages: by which user, and when.
-- $1 ms_ids
SELECT ms_id, recalled_by, recalled_at FROM t_im_recall WHERE ms_id = ANY ($1::bigint[])
