-- A call whose channel an earlier statement has locked, with the place of a user in it, and what is left of it.
-- $1 call id, $2 user id or null, $3 most users who took part, $4 most of the others
SELECT c.call_id, c.channel_id, c.caller, c.media, c.state, c.began_at, c.rings_until, c.ends_by, c.answered_at,
       EXISTS (SELECT FROM t_im_channel_user m
               WHERE m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL) AS is_member,
       (SELECT u.state FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.user_id = $2) AS place,
       (SELECT count(*) FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.state = 'joined') AS joined,
       (SELECT count(*) FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.state = 'ringing') AS ringing,
       -- The caller first: the message of the call is of the first of them who can send.
       ARRAY(SELECT u.user_id FROM t_im_call_user u WHERE u.call_id = c.call_id AND u.joined_at IS NOT NULL
             ORDER BY u.user_id <> c.caller, u.joined_at, u.user_id LIMIT $3) AS took_part,
       -- Those who have not come, for the message of a call whose caller cannot send any more.
       ARRAY(SELECT u.user_id FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.state <> 'left' AND u.joined_at IS NULL
             ORDER BY u.user_id LIMIT $4) AS others
FROM t_im_call c
WHERE c.call_id = $1
FOR UPDATE OF c
