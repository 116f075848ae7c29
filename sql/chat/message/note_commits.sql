-- Begins the next epoch of the channels that have a commit. The previous statements of the transaction have admitted and stored
-- the messages, at most one commit for each channel.
-- $1 channel ids, $2 places of the sends in the batch: one element per commit
WITH taken AS MATERIALIZED (
    SELECT given.channel_id
    FROM (SELECT nullif(current_setting('im.admitted', true), '')::bigint[] AS ms_ids) AS admitted
    CROSS JOIN unnest($1::bigint[], $2::integer[]) AS given (channel_id, place)
    WHERE admitted.ms_ids[given.place] IS NOT NULL
)
UPDATE t_im_channel c SET mls_epoch = c.mls_epoch + 1
FROM taken
-- ANY forces an index lookup.
WHERE c.channel_id = ANY (ARRAY[taken.channel_id])
