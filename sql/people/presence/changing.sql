-- The changes of an instance's users by a report: users added, users released, users of an old generation,
-- and users unknown to the directory. The instance is locked.
-- $1 gateway, $2 user ids, $3 whether each is online, $4 generation of the instance
SELECT told.user_id,
       CASE WHEN person.active IS NOT TRUE THEN 'unknown'
            WHEN NOT told.online THEN 'released'
            WHEN held.generation IS NULL THEN 'added'
            ELSE 'kept' END AS change
FROM unnest($2::text[], $3::boolean[]) AS told (user_id, online)
-- LIMIT makes each user a key lookup. A join planned while the tables are small would read all of them.
LEFT JOIN LATERAL (SELECT active FROM t_im_user u WHERE u.user_id = told.user_id LIMIT 1) AS person ON true
LEFT JOIN LATERAL (SELECT generation FROM t_im_presence p
                   WHERE p.gateway = $1 AND p.user_id = told.user_id LIMIT 1) AS held ON true
WHERE person.active IS NOT TRUE
   OR told.online AND held.generation IS DISTINCT FROM $4
   OR NOT told.online AND held.generation IS NOT NULL
ORDER BY told.user_id
