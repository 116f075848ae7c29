-- The mark of the session behind this connection; empty if it has none.
SELECT coalesce(current_setting('impg.session', true), '')
