-- The mark of the session that this connection leads to; empty without one.
SELECT coalesce(current_setting('impg.session', true), '')
