-- Whether a user of the directory has this login name. Users whom their source no longer has do not count.
-- $1 username, folded
SELECT EXISTS (SELECT FROM t_im_user WHERE login_name_folded = $1::text AND active AND login_name_folded IS NOT NULL)
    OR EXISTS (SELECT FROM t_im_user
               WHERE login_name_folded = $1 AND NOT active AND deleted_at IS NULL AND login_name_folded IS NOT NULL)
