-- One page of the users who are not active, by id: those whom the source suspended, and those whom it no longer has.
-- $1 after this user, $2 whether only those whom the source no longer has, or only the others, or null, $3 limit
SELECT user_id, name, kind, deleted_at
FROM t_im_user
WHERE NOT active AND user_id > $1 AND source <> 'robot' AND ($2::boolean IS NULL OR (deleted_at IS NOT NULL) = $2)
ORDER BY user_id
LIMIT $3
