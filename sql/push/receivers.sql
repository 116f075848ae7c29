-- Who is to get each message of a batch.
-- $1 batch id
SELECT ms_id, array_agg(DISTINCT receiver) AS receivers
FROM v_im_push_pair
WHERE batch_id = $1
GROUP BY ms_id
