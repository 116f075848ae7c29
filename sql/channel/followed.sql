-- A comparison is carried out. The channel is locked by an earlier statement.
-- $1 channel id, $2 the revision of the directory that was compared, $3 how many did not fit
UPDATE t_im_department_group SET revision = greatest(revision, $2), left_out = $3 WHERE channel_id = $1
