-- The notification settings that have changed, oldest change first, with the last revision of all. One row without
-- settings: nothing has changed.
-- $1 after this revision, $2 most settings
SELECT h.revision AS head, p.user_id, p.quiet, p.every_s, p.revision
FROM t_im_preference_head h
LEFT JOIN LATERAL (
    SELECT user_id, quiet, every_s, revision FROM t_im_preference WHERE revision > $1 ORDER BY revision LIMIT $2 OFFSET 0
) AS p ON true
ORDER BY p.revision
