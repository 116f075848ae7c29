-- Calls that must end: no user has accepted them in time, they last too long, or too few users are left.
-- $1 now, $2 most calls
SELECT c.call_id
FROM t_im_call c
WHERE c.state <> 'ended'
  AND (c.ends_by <= $1
       OR c.state = 'ringing' AND c.rings_until <= $1
       OR (SELECT count(*) FROM v_im_call_user u WHERE u.call_id = c.call_id AND u.state = 'joined')
          < CASE c.state WHEN 'live' THEN 2 ELSE 1 END)
ORDER BY c.call_id
LIMIT $2
