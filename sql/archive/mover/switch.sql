-- Makes everything below an id cold. The caller holds the seal lock exclusively.
-- $1 day, $2 below this ms_id, $3 now
WITH switched AS (
    UPDATE t_im_horizon SET ms_id = $2 WHERE ms_id < $2
)
UPDATE t_im_archive_day SET step = 'switched', switched_at = $3 WHERE day = $1
