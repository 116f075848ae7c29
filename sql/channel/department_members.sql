-- Who is to be in a department's group besides its owner: as many as fit, and how many they are in all.
-- $1 department id, $2 whether with those below, $3 owner, $4 how many fit
WITH belongs AS MATERIALIZED (
    SELECT user_id FROM im_department_people($1, $2) AS p WHERE user_id <> $3
)
SELECT ARRAY(SELECT user_id FROM belongs ORDER BY user_id LIMIT $4) AS members, (SELECT count(*) FROM belongs) AS total
