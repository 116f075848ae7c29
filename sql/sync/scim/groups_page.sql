-- The Group ids of a page.
-- $1 kind of Groups, $2 rows before the page, $3 rows of the page
SELECT group_id FROM v_im_scim_group WHERE kind = $1 ORDER BY group_id OFFSET $2::bigint LIMIT $3::bigint
