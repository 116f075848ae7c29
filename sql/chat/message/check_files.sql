-- Finds the sends of a batch that hold a file which the sender cannot read, or whose upload is not finished. A later
-- statement of the transaction refuses these sends. It locks the files against their removal: one that is removed at the
-- same time is gone, or stays. Batches that hold the same file do not wait for each other.
-- $1 places of the sends in the batch, $2 senders, $3 file ids, or null for a file that was not found: one element per send
WITH file AS MATERIALIZED (
    SELECT file_id, owner, state FROM t_im_file WHERE file_id = ANY ($3::bigint[]) ORDER BY file_id FOR KEY SHARE
),
readable AS MATERIALIZED (
    -- A sender and a file are looked up once, however many sends of the batch have them.
    SELECT pair.sender, pair.file_id
    FROM (SELECT DISTINCT sender, file_id FROM unnest($2::text[], $3::bigint[]) AS given (sender, file_id)) AS pair
    JOIN file ON file.file_id = pair.file_id AND file.state = 'ready'
    WHERE file.owner = pair.sender
       -- The rule of sql/files/read/read.sql: most files are in a few messages. Of others the sender's channels are
       -- asked for a message that the sender sees.
       OR EXISTS (SELECT FROM (SELECT channel_id, seq FROM t_im_file_use WHERE file_id = pair.file_id
                               ORDER BY ms_id DESC LIMIT 16) AS u
                  CROSS JOIN LATERAL (SELECT FROM v_im_visible v
                                      WHERE v.channel_id = u.channel_id AND v.user_id = pair.sender
                                        AND u.seq >= v.sees_from_seq AND (v.to_seq IS NULL OR u.seq <= v.to_seq)
                                      OFFSET 0) AS seen)
       OR EXISTS (SELECT FROM (SELECT channel_id FROM t_im_channel_user
                               WHERE user_id = pair.sender AND to_seq IS NULL OFFSET 0) AS mine
                  CROSS JOIN LATERAL (SELECT FROM t_im_file_use
                                      WHERE file_id = pair.file_id AND channel_id = mine.channel_id
                                      ORDER BY seq LIMIT 1) AS sent_there
                  CROSS JOIN LATERAL (SELECT sees_from_seq, to_seq FROM t_im_channel_user
                                      WHERE channel_id = mine.channel_id AND user_id = pair.sender OFFSET 0) AS stay
                  CROSS JOIN LATERAL (SELECT FROM t_im_file_use
                                      WHERE file_id = pair.file_id AND channel_id = mine.channel_id
                                        AND seq BETWEEN stay.sees_from_seq AND coalesce(stay.to_seq, 9223372036854775807)
                                      ORDER BY seq LIMIT 1) AS seen)
),
wrong AS MATERIALIZED (
    SELECT given.place
    FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS given (place, sender, file_id)
    WHERE NOT EXISTS (SELECT FROM readable WHERE readable.sender = given.sender AND readable.file_id = given.file_id)
)
SELECT place
FROM wrong
CROSS JOIN (SELECT set_config('im.refused', (coalesce(nullif(current_setting('im.refused', true), ''), '{}')::integer[]
                                             || array_agg(place))::text, true)
            FROM wrong) AS noted
