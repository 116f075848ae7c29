-- An id for what one call stages; those of runs are above nought.
SELECT -nextval('im_directory_call')
