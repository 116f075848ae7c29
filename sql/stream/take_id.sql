-- The id of this transaction: every other one that has an id by now has one below it.
SELECT pg_current_xact_id()::xid::text
