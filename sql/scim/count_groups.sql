-- How many Groups there are.
-- $1 what Groups are
SELECT count(*) FROM v_im_scim_group WHERE kind = $1
