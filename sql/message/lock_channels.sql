-- Locks the channels of a batch of sends, in id order, against other senders and against joins and leaves. One that
-- is locked elsewhere is left for the next batch. The next statement of the transaction reads which ones are locked.
-- $1 channel ids
SELECT set_config('im.locked', coalesce(array_agg(channel_id), '{}')::text, true)
FROM (SELECT channel_id
      FROM t_im_channel
      WHERE channel_id = ANY ($1::bigint[])
      ORDER BY channel_id
      FOR NO KEY UPDATE SKIP LOCKED) AS locked
