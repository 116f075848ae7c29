-- Searches a given set of users by a prefix of their search words.
-- $1 user ids, $2 from this word, or null, $3 before this one, $4/$5 after this word and user, $6 limit
-- $7 only this kind, or null: no applications, $8 the external user who looks, or null. Robots are found by the members of
-- their groups: $9 the user who looks, or null
WITH page AS MATERIALIZED (
    SELECT w.word, u.user_id, u.name, u.head_icon, u.kind, u.title, u.department_id
    FROM (SELECT DISTINCT user_id FROM unnest($1::text[]) AS given (user_id)) AS given
    CROSS JOIN LATERAL (
        (SELECT word FROM t_im_user_word w
         WHERE w.user_id = given.user_id AND w.word >= $2 AND w.word < $3
         ORDER BY word
         LIMIT 1)
        UNION ALL
        SELECT '' WHERE $2 IS NULL
    ) AS w
    CROSS JOIN LATERAL (
        SELECT * FROM t_im_user u
        WHERE u.user_id = given.user_id AND u.active
          AND CASE WHEN u.kind <> 'application' THEN u.kind = coalesce($7::text, u.kind)
                   WHEN $7 = 'application' THEN im_sees_application($9::text, u.user_id) ELSE false END
        OFFSET 0
    ) AS u
    WHERE (w.word, given.user_id) > ($4, $5)
    ORDER BY w.word, u.user_id
    LIMIT $6
)
SELECT p.word, p.user_id, p.name, p.head_icon, p.kind, p.title, d.department_id, d.name AS department_name,
       s.text AS status_text, s.emoji AS status_emoji, s.until AS status_until
FROM page p
LEFT JOIN LATERAL (
    SELECT department_id, name, removed_at FROM t_im_department WHERE department_id = p.department_id
    OFFSET 0
) AS d ON d.removed_at IS NULL
      AND ($8::text IS NULL OR im_granted($8, ARRAY[d.department_id]))
LEFT JOIN LATERAL (
    SELECT text, emoji, until FROM t_im_user_status
    WHERE user_id = p.user_id AND (until IS NULL OR until > im_clock())
    OFFSET 0
) AS s ON true
ORDER BY p.word, p.user_id
