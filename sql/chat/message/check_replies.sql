-- Finds the replies of a batch of sends to messages that the sender does not see. A later statement of the transaction
-- refuses these sends.
-- $1 channel ids, $2 senders, $3 places of the sends in the batch, $4 seqs of the messages that they reply to: one element
-- per reply
WITH wrong AS MATERIALIZED (
    SELECT given.place
    FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[]) AS given (channel_id, sender, place, seq)
    WHERE NOT EXISTS (SELECT FROM v_im_visible v
                      WHERE v.channel_id = given.channel_id AND v.user_id = given.sender AND given.seq >= v.sees_from_seq
                        AND (v.to_seq IS NULL OR given.seq <= v.to_seq)
                      OFFSET 0)
)
SELECT place
FROM wrong
CROSS JOIN (SELECT set_config('im.refused', (coalesce(nullif(current_setting('im.refused', true), ''), '{}')::integer[]
                                             || array_agg(place))::text, true)
            FROM wrong) AS noted
