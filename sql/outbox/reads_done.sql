-- A range of reads that the archive has taken in.
-- $1 channel id, $2 user id, $3 to this seq
DELETE FROM t_im_read WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3
