-- The places of messages that a reader may not see.
-- $1 channel ids, $2 seqs: one element per message, in order; $3 reader
SELECT given.place
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS given (channel_id, seq, place)
WHERE NOT EXISTS (SELECT FROM v_im_visible v
                  WHERE v.channel_id = given.channel_id AND v.user_id = $3 AND given.seq >= v.sees_from_seq
                    AND (v.to_seq IS NULL OR given.seq <= v.to_seq)
                  OFFSET 0)
