-- The receivers of a page of a notification, with their status if their message is hot. For a cold message: the
-- receipts and reads that its document may not have yet.
-- $1 notification id, $2 page
SELECT r.user_id, u.name, r.channel_id, r.ms_id, r.seq, r.reason, n.sender,
       EXISTS (SELECT FROM t_im_recall WHERE ms_id = r.ms_id OFFSET 0) AS is_recalled,
       coalesce(r.ms_id < h.ms_id, false) AS is_cold,
       greatest(held.status, late.status) AS status,
       CASE WHEN held.status = 0 AND late.status IS NULL THEN held.verdict END AS verdict,
       CASE WHEN held.status = 0 AND late.status IS NULL THEN held.verdict_reason END AS verdict_reason,
       CASE WHEN late.status > coalesce(held.status, -1) THEN late.at ELSE held.last_modified_time END AS last_modified_time
FROM t_im_horizon h
CROSS JOIN t_im_notification n
JOIN t_im_notification_page p ON p.notification_id = n.notification_id AND p.page = $2
CROSS JOIN LATERAL unnest(p.user_ids, p.channel_ids, p.ms_ids, p.seqs, p.reasons) WITH ORDINALITY
    AS r (user_id, channel_id, ms_id, seq, reason, ord)
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = r.user_id OFFSET 0) AS u ON true
LEFT JOIN LATERAL (
    -- In the direct channel of a pair the lower id has slot 0, for good.
    SELECT im_ledger_status(l, place.bit) AS status, im_ledger_verdict(l, place.bit) AS verdict,
           im_ledger_reason(l, place.bit) AS verdict_reason, im_ledger_time(l, place.bit) AS last_modified_time
    FROM t_im_ledger l CROSS JOIN (SELECT (r.user_id > n.sender)::integer AS bit) AS place
    WHERE ms_id = r.ms_id AND block = 0 AND ms_id >= h.ms_id
    OFFSET 0
) AS held ON true
LEFT JOIN LATERAL (
    SELECT waiting.status, waiting.at
    FROM (SELECT status, read_at AS at FROM t_im_read
          WHERE channel_id = r.channel_id AND user_id = r.user_id AND from_seq <= r.seq AND to_seq >= r.seq
          UNION ALL
          SELECT status, received_at FROM t_im_receipt_pending WHERE ms_id = r.ms_id AND receiver = r.user_id) AS waiting
    ORDER BY waiting.status DESC, waiting.at
    LIMIT 1
) AS late ON true
WHERE n.notification_id = $1
ORDER BY r.ord
