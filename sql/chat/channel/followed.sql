-- Marks a comparison as applied. An earlier statement locks the channel.
-- $1 channel id, $2 revision of the directory of the comparison, $3 users who did not fit
UPDATE t_im_department_group SET revision = greatest(revision, $2), left_out = $3 WHERE channel_id = $1
