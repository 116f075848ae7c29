-- Counts the receivers of a notification by status, without the archive: pages have the statuses of cold messages.
-- $1 notification id
SELECT status, count(*) AS receivers
FROM (
    SELECT CASE WHEN r.reason IS NOT NULL THEN 'failed'
                WHEN r.ms_id IS NULL THEN 'unsent'
                WHEN EXISTS (SELECT FROM t_im_recall WHERE ms_id = r.ms_id OFFSET 0) THEN 'recalled'
                ELSE CASE greatest(r.status, held.status, late.status) WHEN 2 THEN 'read' WHEN 1 THEN 'received' ELSE 'unreceived' END
           END AS status
    FROM t_im_horizon h
    CROSS JOIN t_im_notification n
    JOIN t_im_notification_page p ON p.notification_id = n.notification_id
    CROSS JOIN LATERAL unnest(p.user_ids, p.channel_ids, p.ms_ids, p.seqs, p.reasons, p.statuses)
        AS r (user_id, channel_id, ms_id, seq, reason, status)
    LEFT JOIN LATERAL (
        -- In the direct channel of a pair the lower id has slot 0, for good.
        SELECT im_ledger_status(l, (r.user_id > n.sender)::integer) AS status
        FROM t_im_ledger l WHERE ms_id = r.ms_id AND block = 0 AND ms_id >= h.ms_id OFFSET 0
    ) AS held ON true
    LEFT JOIN LATERAL (
        SELECT max(waiting.status) AS status
        FROM (SELECT status FROM t_im_read
              WHERE channel_id = r.channel_id AND user_id = r.user_id AND from_seq <= r.seq AND to_seq >= r.seq
              UNION ALL
              SELECT status FROM t_im_receipt_pending WHERE ms_id = r.ms_id AND receiver = r.user_id) AS waiting
    ) AS late ON true
    WHERE n.notification_id = $1
) AS receiver
GROUP BY status
