-- The id of this transaction. Every transaction that has an id by now has a lower one.
SELECT pg_current_xact_id()::xid::text
