-- The days that are moving into the archive or have moved, oldest first.
-- $1 whether those whose tables are dropped are among them
SELECT day, run_id, step, from_ms_id, below_ms_id, written_ms_id, messages, documents, ledger_rows, checksum,
       switched_at, lost_documents, lost_ledger_rows
FROM t_im_archive_day WHERE step <> 'dropped' OR $1 ORDER BY day
