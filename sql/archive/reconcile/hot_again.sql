-- Makes the days from an id on hot again. They stay sealed and are switched again; late changes that the archive had are
-- applied again. The caller holds the seal lock exclusively.
-- $1 first ms_id
WITH horizon AS (
    UPDATE t_im_horizon SET ms_id = $1 WHERE ms_id > $1
),
recalls AS (
    UPDATE t_im_recall SET archived = false WHERE archived AND ms_id >= $1
)
UPDATE t_im_archive_day SET step = 'verified', switched_at = NULL WHERE step = 'switched' AND from_ms_id >= $1
