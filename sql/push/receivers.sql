-- Who is to get each message of a batch.
-- $1 batch id
SELECT span.ms_id, array_agg(l.receiver) AS receivers
FROM v_im_push_span span
JOIN t_im_message_push l ON l.ms_id = span.ms_id AND l.receiver BETWEEN span.low AND span.high
WHERE span.batch_id = $1
GROUP BY span.ms_id
