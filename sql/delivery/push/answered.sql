-- Clears the failure of an endpoint that answers again.
-- $1 callback id
UPDATE t_im_callback SET failing_since = NULL WHERE callback_id = $1 AND failing_since IS NOT NULL
