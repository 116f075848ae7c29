-- Who is in a Group.
-- $1 what Groups are, $2 group id
SELECT user_id FROM v_im_scim_member WHERE kind = $1 AND group_id = $2
