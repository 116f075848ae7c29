-- Adds objects that are written to an upload, drops those that they replace, and plans the next object.
-- $1 file id, $2 epoch, $3 object ids, $4 their first bytes, $5 their sizes, $6 bytes stored, $7 bytes hashed,
-- $8 hash state, $9 next object id, $10 now, $11 locked until, $12 expires at, $13 until when the object is planned
-- No row: another request has taken over, the upload is gone, or the plan of an object has expired.
WITH planned_before AS MATERIALIZED (
    SELECT o.object_id, i.from_byte, i.bytes
    FROM unnest($3::uuid[], $4::bigint[], $5::bigint[]) AS i (object_id, from_byte, bytes)
    CROSS JOIN LATERAL (SELECT object_id FROM t_im_file_object
                        WHERE object_id = i.object_id AND file_id = $1 AND drop_after > $10 FOR UPDATE) AS o
),
mine AS (
    UPDATE t_im_file
    SET stored = $6, hashed = $7, hash_state = $8, locked_until = $11, expires_at = $12
    WHERE file_id = $1 AND epoch = $2 AND state = 'uploading'
      AND (SELECT count(*) FROM planned_before) = cardinality($3::uuid[])
    RETURNING file_id
),
kept AS (
    UPDATE t_im_file_object o
    SET from_byte = p.from_byte, bytes = p.bytes, drop_after = NULL
    FROM mine CROSS JOIN planned_before p
    WHERE o.object_id = p.object_id
),
replaced AS (
    UPDATE t_im_file_object o
    SET drop_after = $10
    FROM mine
    WHERE o.file_id = $1 AND o.form = 'original' AND o.from_byte >= ($4::bigint[])[1] AND o.drop_after IS NULL
      AND o.object_id <> ALL ($3::uuid[])
),
planned AS (
    INSERT INTO t_im_file_object (object_id, file_id, drop_after)
    SELECT $9, file_id, $13 FROM mine
    ON CONFLICT (object_id) DO UPDATE SET drop_after = EXCLUDED.drop_after
)
SELECT file_id FROM mine
