-- Records what a run has moved and what it does. Emits an event when the run has ended.
-- $1 run id, $2 what it does or why it ended, $3 outcome or null, $4 now
WITH told AS (
    UPDATE t_im_archive_run r
    SET days = d.days, messages = d.messages, ledger_rows = d.ledger_rows, doing = $2, outcome = $3::text,
        ended_at = CASE WHEN $3::text IS NOT NULL THEN $4::timestamptz END
    FROM (SELECT count(*) AS days, coalesce(sum(messages), 0)::bigint AS messages,
                 coalesce(sum(ledger_rows), 0)::bigint AS ledger_rows
          FROM t_im_archive_day WHERE run_id = $1) AS d
    WHERE r.run_id = $1 AND r.ended_at IS NULL
    RETURNING r.run_id, r.days, r.messages, r.ledger_rows, r.outcome
)
SELECT im_emit(CASE outcome WHEN 'done' THEN 'archive.moved' ELSE 'archive.failed' END, NULL, NULL,
               jsonb_build_object('run_id', run_id::text, 'days', days, 'messages', messages,
                                  'ledger_rows', ledger_rows, 'reason', $2::text), NULL, $4)
FROM told WHERE outcome IS NOT NULL
