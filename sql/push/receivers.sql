-- Who is to get each message of a batch; a message may come in several parts.
-- $1 batch id
SELECT span.ms_id, part.receivers
FROM v_im_push_span span
CROSS JOIN LATERAL (
    SELECT array_agg(receiver) AS receivers
    FROM t_im_message_push
    WHERE ms_id = span.ms_id AND receiver BETWEEN span.low AND span.high
) AS part
WHERE span.batch_id = $1 AND part.receivers IS NOT NULL
