-- Deletes a link of a callback.
-- $1 callback id, $2 link id of the list
DELETE FROM t_im_endpoint_link
WHERE callback_id = $1 AND encode(substring(link_hash FOR 8), 'hex') = $2::text
RETURNING name
