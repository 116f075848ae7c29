-- The number of users that SCIM shows.
SELECT count(*) FROM t_im_user WHERE source IN ('scim', 'api') AND deleted_at IS NULL
