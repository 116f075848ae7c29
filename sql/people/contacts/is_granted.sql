-- Whether an external user sees a department.
-- $1 the external user, $2 department id
SELECT im_granted($1, ARRAY[$2::text])
