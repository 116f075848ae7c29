-- The new and the current position of a member's received cursor: the ms_id of a seq, and what the member has received
-- or read. The ms_id is null if only the archive knows it, or if the seq is not above the cursor.
-- $1 channel id, $2 user id, $3 seq
SELECT c.last_seq, had.seq AS received_seq,
       CASE WHEN $3 = c.last_seq THEN c.last_ms_id
            WHEN $3 > had.seq AND $3 < c.last_seq THEN (
                SELECT ms_id FROM t_im_message
                WHERE channel_id = $1 AND seq = $3 AND ms_id > had.ms_id AND ms_id < c.last_ms_id
                  AND ms_id >= (SELECT ms_id FROM t_im_horizon))
       END AS ms_id
FROM t_im_channel_user m
JOIN t_im_channel c USING (channel_id)
CROSS JOIN LATERAL (
    SELECT greatest(m.received_seq, m.read_seq) AS seq, greatest(m.received_ms_id, m.read_ms_id) AS ms_id
) AS had
WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
