-- One page of archive runs, newest first, each with its days.
-- $1 before this run id, $2 limit
SELECT r.run_id, r.asked_by, r.asked_at, r.ended_at, r.outcome, r.doing, r.days, r.messages, r.ledger_rows,
       coalesce((SELECT jsonb_agg(jsonb_build_object('day', d.day, 'step', d.step, 'messages', d.messages,
                                                     'ledger_rows', d.ledger_rows) ORDER BY d.day)
                 FROM t_im_archive_day d WHERE d.run_id = r.run_id), '[]') AS day_list
FROM t_im_archive_run r
WHERE r.run_id < $1
ORDER BY r.run_id DESC
LIMIT $2
