-- Deletes the SCIM data of a removed department.
-- $1 department id
WITH waiting AS (
    DELETE FROM t_im_scim_waiting WHERE department_id = $1
)
UPDATE t_im_department SET scim = NULL WHERE department_id = $1
