-- Which of these channels there are: those among them that were not locked are somebody's.
-- $1 channel ids
SELECT channel_id FROM t_im_channel WHERE channel_id = ANY ($1::bigint[])
