-- Stores the document of a department. The version rises, unless another change has already raised it.
-- $1 department id, $2 document, $3 version before, $4 whether its members have changed, $5 now
UPDATE t_im_department
SET scim = $2, version = version + CASE WHEN version = $3 THEN 1 ELSE 0 END, updated_at = $5
WHERE department_id = $1 AND (scim IS DISTINCT FROM $2 OR $4)
