-- A hot message whose receipts somebody asks for, if they may: a member who can see it, or by role.
-- $1 ms_id, $2 caller, $3 whether the caller's role shows them every message
SELECT m.ms_id, m.channel_id, m.seq, m.sender, m.server_time
FROM t_im_message m
WHERE m.ms_id = $1 AND m.ms_id >= (SELECT ms_id FROM t_im_horizon)
  AND ($3 OR EXISTS (
      SELECT FROM t_im_channel_user u
      WHERE u.channel_id = m.channel_id AND u.user_id = $2 AND u.to_seq IS NULL)
    AND EXISTS (
      SELECT FROM t_im_channel_user u
      WHERE u.channel_id = m.channel_id AND u.user_id = $2
        AND u.sees_from_seq <= m.seq AND (u.to_seq IS NULL OR u.to_seq >= m.seq)))
