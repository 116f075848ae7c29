-- A staging id for one call. It is negative; the ids of runs are positive.
SELECT -nextval('im_directory_call')
