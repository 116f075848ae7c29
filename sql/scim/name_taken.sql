-- Whether somebody else whom SCIM shows has a login name, whatever its case. The directory is locked.
-- $1 login name, folded, $2 whose it may be
SELECT EXISTS (
    SELECT FROM t_im_user
    WHERE coalesce(login_name_folded, user_id_folded, user_id) = $1 AND source IN ('scim', 'api') AND deleted_at IS NULL AND user_id <> $2
)
