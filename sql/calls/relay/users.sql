-- The place of a user in a call, and all who are in it. No row: there is no such call, or the user is no member of its channel.
-- $1 call id, $2 user id
SELECT c.channel_id, c.state,
       EXISTS (SELECT FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.user_id = $2 AND u.state = 'joined') AS is_in,
       ARRAY(SELECT u.user_id FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.state = 'joined' ORDER BY u.user_id) AS joined
FROM t_im_call c
WHERE c.call_id = $1
  AND EXISTS (SELECT FROM t_im_channel_user m WHERE m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL OFFSET 0)
