-- Records that a day's partitions are dropped.
-- $1 day, $2 now
UPDATE t_im_archive_day SET step = 'dropped', dropped_at = $2 WHERE day = $1
