-- The status of one receiver of a hot message. No row: the user is not among its receivers.
-- $1 ms_id, $2 channel id, $3 seq, $4 user id
SELECT s.user_id AS receiver, u.name,
       greatest(held.status, late.status) AS status,
       CASE WHEN held.status = 0 AND late.status IS NULL THEN held.verdict END AS verdict,
       CASE WHEN held.status = 0 AND late.status IS NULL THEN held.verdict_reason END AS verdict_reason,
       CASE WHEN late.status > held.status THEN late.at ELSE held.last_modified_time END AS last_modified_time
FROM t_im_channel_slot s
CROSS JOIN LATERAL (
    SELECT im_ledger_status(l, s.slot & 1023) AS status, im_ledger_verdict(l, s.slot & 1023) AS verdict,
           im_ledger_reason(l, s.slot & 1023) AS verdict_reason, im_ledger_time(l, s.slot & 1023) AS last_modified_time
    FROM t_im_ledger l
    WHERE ms_id = $1 AND block = s.slot >> 10 AND im_bit(receivers, s.slot & 1023) = 1
    OFFSET 0
) AS held
CROSS JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = s.user_id OFFSET 0) AS u
LEFT JOIN LATERAL (
    SELECT waiting.status, waiting.at
    FROM (SELECT status, read_at AS at FROM t_im_read
          WHERE channel_id = $2 AND user_id = s.user_id AND from_seq <= $3 AND to_seq >= $3
          UNION ALL
          SELECT status, received_at FROM t_im_receipt_pending WHERE ms_id = $1 AND receiver = s.user_id) AS waiting
    ORDER BY waiting.status DESC, waiting.at
    LIMIT 1
) AS late ON true
WHERE s.channel_id = $2 AND s.user_id = $4
