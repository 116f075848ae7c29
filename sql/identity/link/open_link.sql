-- Notes that a browser has opened a link, unless that was noted a moment ago.
-- $1 SHA-256 of the secret, $2 now
UPDATE t_im_endpoint_link SET opened_at = $2::timestamptz WHERE link_hash = $1::bytea
  AND (opened_at IS NULL
       OR opened_at NOT BETWEEN $2::timestamptz - interval '1 minute' AND $2::timestamptz + interval '1 minute')
