-- Keeps the mentions of a batch of sends. The previous statements of the transaction have admitted and stored the
-- messages.
-- $1 places of the sends in the batch, $2 user ids, or /all: one element per mention
INSERT INTO t_im_mention (user_id, channel_id, seq, ms_id, sender)
SELECT given.user_id, m.channel_id, m.seq, m.ms_id, m.sender
FROM (SELECT nullif(current_setting('im.admitted', true), '')::bigint[] AS ms_ids) AS admitted
CROSS JOIN unnest($1::integer[], $2::text[]) AS given (place, user_id)
CROSS JOIN LATERAL (
    SELECT channel_id, seq, ms_id, sender FROM t_im_message WHERE ms_id = admitted.ms_ids[given.place] OFFSET 0
) AS m
ORDER BY given.user_id, m.channel_id, m.seq
