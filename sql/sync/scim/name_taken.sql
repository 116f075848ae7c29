-- Whether another user that SCIM shows has this login name, ignoring case. The directory is locked.
-- $1 folded login name, $2 the user who may have it
SELECT EXISTS (
    SELECT FROM t_im_user
    WHERE coalesce(login_name_folded, user_id_folded, user_id) = $1 AND source IN ('scim', 'api') AND deleted_at IS NULL AND user_id <> $2
)
