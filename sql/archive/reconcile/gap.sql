-- The newest day in a range of which the archive has lost documents or, if they count, ledger rows.
-- $1 from this ms_id, $2 below this one, $3 whether ledger rows count
SELECT day, below_ms_id FROM t_im_archive_day
WHERE (lost_documents > 0 OR lost_ledger_rows > 0) AND (lost_documents > 0 OR $3)
  AND from_ms_id < $2 AND below_ms_id > $1
ORDER BY day DESC LIMIT 1
