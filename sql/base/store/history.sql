-- Whether the database has a history of migrations, and takes writes. A standby, or a server with
-- default_transaction_read_only, begins every transaction read-only.
SELECT to_regclass('refinery_schema_history') IS NOT NULL AS has_history,
       current_setting('transaction_read_only') = 'off' AS writable
