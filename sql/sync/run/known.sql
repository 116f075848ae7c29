-- Counts the users and departments of a source, for the guard.
-- $1 source
SELECT (SELECT count(*) FROM t_im_user WHERE source = $1 AND active) AS users,
       (SELECT count(*) FROM t_im_department WHERE source = $1 AND removed_at IS NULL) AS departments
