-- Marks the session of this connection, as long as the session lasts.
SELECT set_config('impg.session', gen_random_uuid()::text, false)
