-- The channels of a batch of sends, locked in id order against other senders and against
-- joins and leaves. One that somebody else holds is left for the next batch.
-- $1 channel ids
SELECT channel_id
FROM t_im_channel
WHERE channel_id = ANY ($1::bigint[])
ORDER BY channel_id
FOR NO KEY UPDATE SKIP LOCKED
