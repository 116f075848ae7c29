-- The directory's revision, if a follower is behind it.
-- $1 follower
SELECT h.revision
FROM t_im_directory_follower f CROSS JOIN t_im_directory_head h
WHERE f.follower = $1 AND f.revision < h.revision
