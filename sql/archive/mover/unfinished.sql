-- The days that are moving into the archive, oldest first.
SELECT day, run_id, step, from_ms_id, below_ms_id, written_ms_id, messages, documents, ledger_rows, checksum,
       switched_at
FROM t_im_archive_day WHERE step <> 'dropped' ORDER BY day
