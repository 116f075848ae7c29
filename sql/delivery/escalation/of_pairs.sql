-- Messages with some of their receivers.
-- $1 ms_ids, $2 user ids: one element per pair
SELECT 'urgent' AS kind, 0 AS after_s, m.ms_id, m.channel_id, m.seq, m.sender, m.server_time, 0 AS bytes, 0 AS block, given.user_ids
FROM (SELECT ms_id, array_agg(user_id ORDER BY user_id) AS user_ids
      FROM unnest($1::bigint[], $2::text[]) AS pair (ms_id, user_id) GROUP BY ms_id) AS given
CROSS JOIN LATERAL (
    SELECT ms_id, channel_id, seq, sender, server_time FROM t_im_message WHERE ms_id = given.ms_id OFFSET 0
) AS m
