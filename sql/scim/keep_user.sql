-- Keeps what a client told of somebody. If nothing else of them has changed, this is a new version of them.
-- $1 user id, $2 what was told, $3 the version they had before, $4 now, $5 their e-mail addresses, folded
UPDATE t_im_user
SET scim = $2, scim_emails = $5, version = version + CASE WHEN version = $3 THEN 1 ELSE 0 END, updated_at = $4
WHERE user_id = $1 AND scim IS DISTINCT FROM $2
