-- Finds the sends of a batch that hold a file which the sender cannot read, or whose upload is not finished. A later
-- statement of the transaction refuses these sends. It locks the files: one that is removed at the same time is gone, or
-- stays.
-- $1 places of the sends in the batch, $2 senders, $3 file ids, or null for a file that was not found: one element per send
WITH file AS MATERIALIZED (
    SELECT file_id, owner, state FROM t_im_file WHERE file_id = ANY ($3::bigint[]) ORDER BY file_id FOR NO KEY UPDATE
),
wrong AS MATERIALIZED (
    SELECT given.place
    FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS given (place, sender, file_id)
    WHERE NOT EXISTS (
        SELECT FROM file
        WHERE file.file_id = given.file_id AND file.state = 'ready'
          AND (file.owner = given.sender
               OR EXISTS (SELECT FROM t_im_file_use u
                          CROSS JOIN LATERAL (SELECT FROM v_im_visible v
                                              WHERE v.channel_id = u.channel_id AND v.user_id = given.sender
                                                AND u.seq >= v.sees_from_seq AND (v.to_seq IS NULL OR u.seq <= v.to_seq)
                                              OFFSET 0) AS seen
                          WHERE u.file_id = given.file_id)))
)
SELECT place
FROM wrong
CROSS JOIN (SELECT set_config('im.refused', (coalesce(nullif(current_setting('im.refused', true), ''), '{}')::integer[]
                                             || array_agg(place))::text, true)
            FROM wrong) AS noted
