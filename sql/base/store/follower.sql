-- Whether the server of `database_read_url` follows a primary, when it started, and the mark in its data.
SELECT pg_is_in_recovery() AS follows, pg_postmaster_start_time() AS started, place, restored_at FROM t_im_database
