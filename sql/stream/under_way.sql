-- Whether a transaction of this database that has an id below this one is under way. What other databases
-- of the server do tells nobody anything here, and may take long.
-- $1 a transaction id
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND age(backend_xid) > age($1::text::xid)
)
