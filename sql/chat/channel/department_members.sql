-- The members of a department group without its owner: as many as fit, and the total.
-- $1 department id, $2 whether departments below it count, $3 owner, $4 most members
WITH belongs AS MATERIALIZED (
    SELECT user_id FROM im_department_people($1, $2) AS p WHERE user_id <> $3
)
SELECT ARRAY(SELECT user_id FROM belongs ORDER BY user_id LIMIT $4) AS members, (SELECT count(*) FROM belongs) AS total
