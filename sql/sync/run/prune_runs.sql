-- Deletes runs that ended long ago.
-- $1 before
DELETE FROM t_im_directory_run WHERE ended_at < $1
