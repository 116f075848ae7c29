-- Which of these messages PostgreSQL has.
-- $1 ms_ids
SELECT ms_id FROM t_im_message WHERE ms_id = ANY ($1::bigint[])
