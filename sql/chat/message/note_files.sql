-- Keeps which messages of a batch of sends hold which files. The files then stay. The previous statements of the transaction
-- have locked the files against their removal, and admitted and stored the messages.
-- $1 places of the sends in the batch, $2 file ids: one element per send
WITH sent AS MATERIALIZED (
    SELECT given.file_id, m.ms_id, m.channel_id, m.seq
    FROM (SELECT nullif(current_setting('im.admitted', true), '')::bigint[] AS ms_ids) AS admitted
    CROSS JOIN unnest($1::integer[], $2::bigint[]) AS given (place, file_id)
    CROSS JOIN LATERAL (
        SELECT ms_id, channel_id, seq FROM t_im_message WHERE ms_id = admitted.ms_ids[given.place] OFFSET 0
    ) AS m
),
held AS (
    INSERT INTO t_im_file_use (file_id, ms_id, channel_id, seq)
    SELECT file_id, ms_id, channel_id, seq FROM sent ORDER BY file_id, ms_id
    ON CONFLICT DO NOTHING
),
expiring AS MATERIALIZED (
    -- In order: batches that hold the same files do not wait for each other in a circle.
    SELECT file_id FROM t_im_file
    WHERE file_id = ANY (ARRAY(SELECT file_id FROM sent)) AND NOT (used AND expires_at IS NULL)
    ORDER BY file_id FOR NO KEY UPDATE
)
UPDATE t_im_file SET expires_at = NULL, used = true WHERE file_id = ANY (ARRAY(SELECT file_id FROM expiring))
