-- Whether an external person sees a department.
-- $1 the external person, $2 department id
SELECT im_granted($1, ARRAY[$2::text])
