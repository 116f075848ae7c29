-- Says that a comparison is carried out, unless a newer one is. The channel is locked by an earlier statement.
-- $1 channel id, $2 the revision of the directory that was compared
UPDATE t_im_department_group SET following = $2 WHERE channel_id = $1 AND following <= $2
