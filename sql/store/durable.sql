-- Whether a commit of this server survives its crash.
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes
