-- What a person may see: of the channels they are in now, as many spans as they were in before.
-- $1 user id
SELECT i.channel_id, i.sees_from_seq AS from_seq, i.to_seq
FROM t_im_channel_user i
WHERE i.user_id = $1
  AND EXISTS (SELECT FROM t_im_channel_user now
              WHERE now.channel_id = i.channel_id AND now.user_id = $1 AND now.to_seq IS NULL)
