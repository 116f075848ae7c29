-- Stores the document of a user. The version rises, unless another change has already raised it.
-- $1 user id, $2 document, $3 version before, $4 now, $5 folded e-mail addresses
UPDATE t_im_user
SET scim = $2, scim_emails = $5, version = version + CASE WHEN version = $3 THEN 1 ELSE 0 END, updated_at = $4
WHERE user_id = $1 AND scim IS DISTINCT FROM $2
