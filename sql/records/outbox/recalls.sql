-- Recalled cold messages whose documents may not have the recall.
-- $1 above this ms_id, $2 most
SELECT ms_id, recalled_by, recalled_at FROM t_im_recall
WHERE NOT archived AND ms_id > $1 AND ms_id < (SELECT ms_id FROM t_im_horizon)
ORDER BY ms_id LIMIT $2::integer
