-- Removes an endpoint. Its secrets and headers are deleted at once. An observer's row stays, hidden, until
-- its queue is empty. The rows of the gateway and of the gate stay for good, without an address.
-- $1 callback id, $2 now
WITH secrets AS (
    DELETE FROM t_im_callback_secret WHERE callback_id = $1
)
UPDATE t_im_callback
SET url = CASE kind WHEN 'observer' THEN url END,
    removed_at = CASE kind WHEN 'observer' THEN $2::timestamptz END,
    state = CASE kind WHEN 'observer' THEN 'disabled' ELSE 'active' END,
    headers = NULL, failing_since = NULL, updated_at = $2, revision = revision + 1
WHERE callback_id = $1
