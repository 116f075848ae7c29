-- Counts the partitions, and the locks that the server has room for.
SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = 't_im_message'::regclass) AS partitions,
       current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint) AS locks
