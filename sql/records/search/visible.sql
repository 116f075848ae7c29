-- The spans that a user may see: all memberships of the channels in which they are a member now.
-- $1 user id
SELECT channel_id, sees_from_seq AS from_seq, to_seq FROM v_im_visible WHERE user_id = $1
