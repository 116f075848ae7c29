-- Records the start of a comparison, or of a step of it, unless a newer one has started.
-- $1 channel id, $2 revision of the directory of the comparison
UPDATE t_im_department_group SET following = $2 WHERE channel_id = $1 AND following <= $2
