-- Marks an upload as ready. Smaller pictures and changed pieces that were planned become part of it.
-- $1 file id, $2 epoch, $3 SHA-256, $4 media type, $5 width, $6 height, $7 now, $8 expires at
-- $9 object ids, $10 their forms, $11 their first bytes, $12 their sizes, $13 their media types
-- No row: another request has taken over, the file is gone, or the plan of an object has expired.
WITH planned AS MATERIALIZED (
    SELECT o.object_id, i.form, i.from_byte, i.bytes, i.media_type
    FROM unnest($9::uuid[], $10::text[], $11::bigint[], $12::bigint[], $13::text[])
         AS i (object_id, form, from_byte, bytes, media_type)
    CROSS JOIN LATERAL (SELECT object_id FROM t_im_file_object
                        WHERE object_id = i.object_id AND file_id = $1 AND drop_after > $7 FOR UPDATE) AS o
),
mine AS (
    UPDATE t_im_file
    SET state = 'ready', sha256 = $3, media_type = $4, width = $5, height = $6, expires_at = $8,
        locked_until = NULL, hash_state = NULL, wanted_sha256 = NULL
    WHERE file_id = $1 AND epoch = $2 AND state = 'uploading' AND stored = size
      AND (SELECT count(*) FROM planned) = cardinality($9::uuid[])
    RETURNING file_id
),
replaced AS (
    UPDATE t_im_file_object o
    SET drop_after = $7
    FROM mine
    WHERE o.file_id = $1 AND o.form = 'original' AND o.drop_after IS NULL
      AND (o.from_byte IN (SELECT from_byte FROM planned WHERE form = 'original')) IS TRUE
),
kept AS (
    UPDATE t_im_file_object o
    SET form = p.form, from_byte = p.from_byte, bytes = p.bytes, media_type = p.media_type, drop_after = NULL
    FROM mine CROSS JOIN planned p
    WHERE o.object_id = p.object_id
)
SELECT file_id FROM mine
