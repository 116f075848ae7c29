-- A hot message, if the caller may see its receipts: as a member who can see the message, or by role.
-- $1 ms_id, $2 caller, $3 whether the caller's role allows every message
SELECT m.ms_id, m.channel_id, m.seq, m.sender, m.server_time
FROM t_im_message m
WHERE m.ms_id = $1 AND $1 >= (SELECT ms_id FROM t_im_horizon)
  AND ($3 OR EXISTS (
      SELECT FROM v_im_visible v
      WHERE v.channel_id = m.channel_id AND v.user_id = $2
        AND v.sees_from_seq <= m.seq AND (v.to_seq IS NULL OR v.to_seq >= m.seq)))
