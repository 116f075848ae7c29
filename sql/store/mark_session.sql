-- Marks the session of this connection, for as long as it lasts.
SELECT set_config('impg.session', gen_random_uuid()::text, false)
