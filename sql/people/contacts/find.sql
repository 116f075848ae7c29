-- Users by a prefix of their search words, in the order of the words. One stretch of words is read, and the
-- users that match are returned. Without a prefix: all users, by id.
-- $1 from this word, or null, $2 before this one, $3/$4 after this word and user, not before $1, $5 most
-- words to look at
-- $6 only this kind, or null: no applications. Robots are found by the members of their groups: $9 the user who looks, or
-- null
-- $7 only users of this department or below it, or $8 only users that this external user sees, or nulls
WITH RECURSIVE place (department_id) AS (
    -- The department, or the granted ones, and the departments below.
    SELECT d.department_id
    FROM (SELECT $7::text AS department_id
          UNION ALL SELECT department_id FROM t_im_department_grant WHERE user_id = $8::text) AS given
    CROSS JOIN LATERAL (SELECT department_id, removed_at FROM t_im_department WHERE department_id = given.department_id OFFSET 0) AS d
    WHERE d.removed_at IS NULL
    UNION
    -- OFFSET 0 makes the departments below one a key lookup.
    SELECT d.department_id
    FROM place p
    CROSS JOIN LATERAL (SELECT department_id, removed_at FROM t_im_department WHERE parent_id = p.department_id OFFSET 0) AS d
    WHERE d.removed_at IS NULL
),
looked AS MATERIALIZED (
    (SELECT word, user_id FROM t_im_user_word
     -- No second lower bound: the index would begin at one of them, not always at the higher one.
     WHERE $1::text IS NOT NULL AND (word, user_id) > ($3, $4) AND word < $2
     ORDER BY word, user_id
     LIMIT $5)
    UNION ALL
    (SELECT '', user_id FROM t_im_user WHERE $1 IS NULL AND user_id > $4 ORDER BY user_id LIMIT $5)
)
SELECT l.word, l.user_id, fits.name, fits.head_icon, fits.kind, fits.title, d.department_id, d.name AS department_name,
       s.text AS status_text, s.emoji AS status_emoji, s.until AS status_until
FROM looked l
LEFT JOIN LATERAL (
    SELECT u.name, u.head_icon, u.kind, u.title, u.department_id
    FROM t_im_user u
    WHERE u.user_id = l.user_id AND u.active
      AND CASE WHEN u.kind <> 'application' THEN u.kind = coalesce($6::text, u.kind)
               WHEN $6 = 'application' THEN im_sees_application($9::text, u.user_id) ELSE false END
      AND ($7 IS NULL AND $8 IS NULL OR u.user_id = $8
           OR EXISTS (SELECT FROM t_im_department_user w
                      -- IS TRUE makes the plan hash the departments once, not once for each user.
                      WHERE w.user_id = u.user_id AND (w.department_id IN (SELECT department_id FROM place)) IS TRUE)
           OR EXISTS (SELECT FROM t_im_channel_user theirs
                      -- The same for the channels of the external user. The array keeps the plan from counting them.
                      WHERE theirs.user_id = u.user_id AND theirs.to_seq IS NULL
                        AND (theirs.channel_id IN (SELECT unnest(ARRAY(SELECT channel_id FROM t_im_channel_user
                                                                       WHERE user_id = $8 AND to_seq IS NULL)))) IS TRUE))
      -- A user found by an earlier word is already on an earlier page.
      AND NOT EXISTS (SELECT FROM (SELECT word FROM t_im_user_word WHERE user_id = u.user_id OFFSET 0) AS e
                      WHERE e.word >= $1 AND e.word < l.word)
    OFFSET 0
) AS fits ON true
LEFT JOIN LATERAL (
    SELECT department_id, name, removed_at FROM t_im_department WHERE department_id = fits.department_id
    OFFSET 0
) AS d ON d.removed_at IS NULL
      AND ($8 IS NULL OR d.department_id IN (SELECT department_id FROM place))
LEFT JOIN LATERAL (
    SELECT text, emoji, until FROM t_im_user_status
    WHERE user_id = l.user_id AND (until IS NULL OR until > im_clock())
    OFFSET 0
) AS s ON fits.name IS NOT NULL
ORDER BY l.word, l.user_id
