-- Lets the readers of a message read the picture that it shows. The picture is kept as long as the message.
-- $1 file id, $2 ms_id, $3 channel id, $4 seq
WITH held AS (
    INSERT INTO t_im_file_use (file_id, ms_id, channel_id, seq)
    SELECT file_id, $2, $3, $4 FROM t_im_file WHERE file_id = $1
    ON CONFLICT DO NOTHING
)
UPDATE t_im_file SET expires_at = NULL, used = true WHERE file_id = $1
