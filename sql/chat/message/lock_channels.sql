-- Locks the channels of a batch of sends, in id order, against other sends and against joins and leaves. Skips a
-- channel that another transaction holds; its sends go into the next batch. The next statement of the transaction
-- reads which channels are locked.
-- $1 channel ids
SELECT set_config('im.locked', coalesce(array_agg(channel_id), '{}')::text, true)
FROM (SELECT channel_id
      FROM t_im_channel
      WHERE channel_id = ANY ($1::bigint[])
      ORDER BY channel_id
      FOR NO KEY UPDATE SKIP LOCKED) AS locked
