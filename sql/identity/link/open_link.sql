-- Notes that a browser has opened a link.
-- $1 SHA-256 of the secret, $2 now
UPDATE t_im_endpoint_link SET opened_at = $2::timestamptz WHERE link_hash = $1::bytea
