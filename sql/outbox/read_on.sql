-- The archive has taken in a range of reads as far as before a seq; at its end the range is gone.
-- $1 channel id, $2 user id, $3 last seq of the range, $4 the seq it goes on with
WITH done AS (
    DELETE FROM t_im_read WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3 AND to_seq < $4
)
UPDATE t_im_read SET from_seq = $4 WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3 AND to_seq >= $4
