-- Moves the start of a range after the archive has a part of it. A completed range is deleted.
-- $1 channel id, $2 user id, $3 last seq of the range, $4 its status, $5 the next seq
WITH done AS (
    DELETE FROM t_im_read WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3 AND status = $4 AND to_seq < $5
)
UPDATE t_im_read SET from_seq = $5
WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3 AND status = $4 AND to_seq >= $5
