-- A replica without an archive leaves messages unindexed: whoever has one again walks through all.
UPDATE t_im_archive SET walk_ms_id = 0
