-- What a person may see: of the channels they are in now, as many spans as they were in before.
-- $1 user id
SELECT channel_id, sees_from_seq AS from_seq, to_seq FROM v_im_visible WHERE user_id = $1
