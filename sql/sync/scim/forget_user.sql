-- Deletes the SCIM data of a removed user.
-- $1 user id
WITH waiting AS (
    DELETE FROM t_im_scim_waiting WHERE user_id = $1
),
member AS (
    DELETE FROM t_im_scim_member WHERE user_id = $1
)
UPDATE t_im_user SET scim = NULL, scim_emails = NULL WHERE user_id = $1 AND scim IS NOT NULL
