-- How many replies messages have.
-- $1 ms_ids
SELECT ms_id, replies FROM t_im_reply_count WHERE ms_id = ANY ($1::bigint[])
