-- Records how far a day has moved. The transaction holds the lease.
-- $1 day, $2 step, $3 written up to this ms_id, $4 messages, $5 documents, $6 ledger rows, $7 checksum
UPDATE t_im_archive_day
SET step = $2, written_ms_id = $3, messages = $4, documents = $5, ledger_rows = $6, checksum = $7,
    -- The archive has again what it had lost.
    lost_documents = CASE WHEN $2 = 'verified' THEN 0 ELSE lost_documents END,
    lost_ledger_rows = CASE WHEN $2 = 'verified' THEN 0 ELSE lost_ledger_rows END
WHERE day = $1
