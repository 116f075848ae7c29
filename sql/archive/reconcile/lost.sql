-- Records what the archive has lost of each day.
-- $1 days, $2 documents, $3 ledger rows: one element per day
UPDATE t_im_archive_day d SET lost_documents = given.documents, lost_ledger_rows = given.ledger_rows
FROM unnest($1::date[], $2::bigint[], $3::bigint[]) AS given (day, documents, ledger_rows)
WHERE d.day = given.day AND (d.lost_documents, d.lost_ledger_rows) <> (given.documents, given.ledger_rows)
