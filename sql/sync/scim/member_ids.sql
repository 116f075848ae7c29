-- The members of a Group.
-- $1 kind of Groups, $2 group id
SELECT user_id FROM v_im_scim_member WHERE kind = $1 AND group_id = $2
