-- Lets later versions of documents be above this one.
-- $1 version
UPDATE t_im_archive SET version_base = $1 WHERE version_base < $1
