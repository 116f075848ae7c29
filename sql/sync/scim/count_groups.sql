-- The number of Groups.
-- $1 kind of Groups
SELECT count(*) FROM v_im_scim_group WHERE kind = $1
