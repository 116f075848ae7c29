-- The memberships in which a user is or was a receiver. Their own messages do not count.
-- $1 user id
SELECT channel_id, from_seq, to_seq FROM t_im_channel_user WHERE user_id = $1
