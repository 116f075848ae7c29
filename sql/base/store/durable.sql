-- Whether a commit survives a crash of the database server.
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes
