-- Locks the read cursors that are about to move, in key order.
-- $1 channel ids, $2 user ids, $3 seqs
SELECT m.channel_id
FROM (SELECT DISTINCT channel_id, user_id, seq
      FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS i (channel_id, user_id, seq)) AS given
JOIN t_im_channel_user m
  ON m.channel_id = given.channel_id AND m.user_id = given.user_id
 AND m.from_seq <= given.seq AND (m.to_seq IS NULL OR m.to_seq >= given.seq)
ORDER BY m.channel_id, m.user_id, m.from_seq
FOR NO KEY UPDATE OF m
