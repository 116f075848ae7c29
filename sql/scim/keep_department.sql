-- Keeps what a client told of a department. If nothing else of it has changed, this is a new version of it.
-- $1 department id, $2 what was told, $3 the version it had before, $4 whether its members have changed, $5 now
UPDATE t_im_department
SET scim = $2, version = version + CASE WHEN version = $3 THEN 1 ELSE 0 END, updated_at = $5
WHERE department_id = $1 AND (scim IS DISTINCT FROM $2 OR $4)
