-- How many files a user has, and how many bytes they take. Uploads count with their whole size from the beginning.
-- $1 user id
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM t_im_file WHERE owner = $1
