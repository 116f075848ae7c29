-- Of what messages somebody is or was a receiver, but for their own.
-- $1 user id
SELECT channel_id, from_seq, to_seq FROM t_im_channel_user WHERE user_id = $1
