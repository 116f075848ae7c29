-- Whether somebody else whom SCIM shows has a login name, whatever its case. The directory is locked.
-- $1 login name, $2 whose it may be
SELECT EXISTS (
    SELECT FROM t_im_user
    WHERE lower(coalesce(login_name, user_id)) = lower($1) AND source IN ('scim', 'api') AND deleted_at IS NULL AND user_id <> $2
)
