-- Whether one of these users is an application.
-- $1 user ids
SELECT EXISTS (SELECT FROM t_im_user WHERE user_id = ANY ($1::text[]) AND kind = 'application')
