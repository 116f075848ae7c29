-- The number of days of which the archive has lost records.
SELECT count(*) AS days FROM t_im_archive_day WHERE lost_documents > 0 OR lost_ledger_rows > 0
