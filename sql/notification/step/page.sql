-- The receivers of a page, what is known of their messages, and whether they are still in the company.
-- $1 notification id, $2 page
SELECT r.user_id, r.channel_id, r.ms_id, r.seq, r.reason, u.active
FROM t_im_notification_page p
CROSS JOIN LATERAL unnest(p.user_ids, p.channel_ids, p.ms_ids, p.seqs, p.reasons) WITH ORDINALITY
    AS r (user_id, channel_id, ms_id, seq, reason, ord)
CROSS JOIN LATERAL (SELECT coalesce((SELECT active FROM t_im_user WHERE user_id = r.user_id), false) AS active OFFSET 0) AS u
WHERE p.notification_id = $1 AND p.page = $2
ORDER BY r.ord
