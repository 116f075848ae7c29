-- All endpoints with an address, each with the secrets that sign now, newest first.
-- $1 now
SELECT c.callback_id, c.kind, c.url, c.from_settings, c.headers, c.timeout_ms, c.concurrency,
       c.batch_events, c.without_answer, c.sender_kinds, c.state, c.revision,
       c.owner IS NOT NULL AS owned, signing.secret_ids, signing.sealed
FROM t_im_callback c
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(secret_id ORDER BY secret_id DESC), '{}') AS secret_ids,
           coalesce(array_agg(sealed ORDER BY secret_id DESC), '{}') AS sealed
    FROM t_im_callback_secret
    WHERE callback_id = c.callback_id AND (expires_at IS NULL OR expires_at > $1)
) AS signing
WHERE c.url IS NOT NULL AND c.removed_at IS NULL
