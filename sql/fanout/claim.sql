-- The first pending fan-out of some channel that no other worker is writing. Only a
-- channel's first one qualifies: later messages never overtake it.
SELECT f.channel_id, c.member_count
FROM t_im_fanout f
JOIN t_im_channel c USING (channel_id)
WHERE NOT EXISTS (SELECT FROM t_im_fanout earlier
                  WHERE earlier.channel_id = f.channel_id AND earlier.seq < f.seq)
ORDER BY f.ms_id
LIMIT 1
FOR UPDATE OF f SKIP LOCKED
