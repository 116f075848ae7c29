-- Recalls of cold messages that the archive is said to have.
-- $1 above this ms_id, $2 most
SELECT ms_id FROM t_im_recall
WHERE archived AND ms_id > $1 AND ms_id < (SELECT ms_id FROM t_im_horizon)
ORDER BY ms_id LIMIT $2::integer
