-- Writes the gateway of a replica's settings into the database, or turns off a gateway that settings created.
-- The settings override a gateway created through the API, and delete its secrets.
-- $1 URL, or null to turn it off, $2 now
WITH changed AS (
    UPDATE t_im_callback
    SET url = $1, from_settings = $1 IS NOT NULL, headers = NULL, timeout_ms = NULL, concurrency = NULL,
        description = NULL, revision = revision + 1, updated_at = $2
    WHERE callback_id = 'gateway'
      AND (from_settings AND url IS DISTINCT FROM $1 OR NOT from_settings AND $1::text IS NOT NULL)
    RETURNING callback_id
)
DELETE FROM t_im_callback_secret
WHERE callback_id IN (SELECT callback_id FROM changed)
