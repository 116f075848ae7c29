-- Counts the links of a callback that have not expired.
-- $1 callback id, $2 now
SELECT count(*) AS links FROM t_im_endpoint_link WHERE callback_id = $1 AND expires_at > $2::timestamptz
