-- Whether a transaction of this database with an id below this one is running. Transactions of other
-- databases do not matter here and can take long.
-- $1 a transaction id
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND age(backend_xid) > age($1::text::xid)
)
