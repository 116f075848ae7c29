-- Whether the database has the service's tables.
SELECT to_regclass('v_im_partition') IS NOT NULL AND to_regclass('t_im_callback') IS NOT NULL AS is_migrated
