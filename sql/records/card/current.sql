-- A hot message as it is now, and what a user is to it. The row is locked against updates, so that an action counts for
-- the version that it names. Actions do not wait for each other. The caller shares the seal lock.
-- $1 ms_id, $2 user id
SELECT m.channel_id, m.seq, m.sender, m.ms_type, m.content,
       m.ms_id < h.sealed_ms_id AS is_sealed,
       (SELECT dissolved_at IS NOT NULL FROM t_im_channel WHERE channel_id = m.channel_id) AS is_dissolved,
       EXISTS (SELECT FROM t_im_recall r WHERE r.ms_id = m.ms_id) AS is_recalled,
       EXISTS (SELECT FROM v_im_visible v
               WHERE v.channel_id = m.channel_id AND v.user_id = $2
                 AND m.seq >= v.sees_from_seq AND (v.to_seq IS NULL OR m.seq <= v.to_seq)) AS is_visible,
       EXISTS (SELECT FROM t_im_channel_slot s
               CROSS JOIN LATERAL (SELECT receivers FROM t_im_ledger
                                   WHERE ms_id = m.ms_id AND block = s.slot >> 10 OFFSET 0) AS l
               WHERE s.channel_id = m.channel_id AND s.user_id = $2
                 AND im_bit(l.receivers, s.slot & 1023) = 1) AS is_receiver
FROM t_im_horizon h
CROSS JOIN LATERAL (SELECT * FROM t_im_message WHERE ms_id = $1 AND ms_id >= h.ms_id FOR SHARE OFFSET 0) AS m
