-- Who is to get each message of a batch, and who would but has left the company; a message may come in
-- several parts. Of what was held, only those who have not got it meanwhile. Looked up one by one among the
-- few who have left, also by a plan made while there were none.
-- $1 batch id
SELECT span.ms_id, part.receivers, part.left_ids
FROM v_im_push_span span
CROSS JOIN LATERAL (
    SELECT array_agg(receiver) FILTER (WHERE NOT has_left) AS receivers, array_agg(receiver) FILTER (WHERE has_left) AS left_ids
    FROM (SELECT receiver,
                 coalesce((SELECT true FROM t_im_user u WHERE u.user_id = l.receiver AND NOT u.active), false) AS has_left
          FROM t_im_message_push l
          WHERE ms_id = span.ms_id AND receiver BETWEEN span.low AND span.high
            AND (NOT span.held OR l.status = 0)
          OFFSET 0) AS pair
) AS part
WHERE span.batch_id = $1
