-- Updates the statuses of locked users and emits the changes, a limited number per event. A status never
-- dates back behind the one before it.
-- $1 user ids, $2 now, $3 most people of an event
WITH changed AS (
    UPDATE t_im_user u
    SET status = CASE u.status WHEN 'online' THEN 'offline' ELSE 'online' END,
        status_since = greatest(u.status_since, $2::timestamptz)
    WHERE u.user_id = ANY ($1::text[])
      -- LIMIT makes each user a key lookup, even with a plan made while the table was small.
      AND (u.status = 'online')
          <> coalesce((SELECT true FROM t_im_presence p WHERE p.user_id = u.user_id LIMIT 1), false)
    RETURNING u.user_id, u.status, u.status_since
),
placed AS (
    SELECT user_id, jsonb_build_object('user_id', user_id, 'status', status, 'at', status_since) AS change,
           (row_number() OVER (ORDER BY user_id) - 1) / $3::bigint AS event
    FROM changed
    -- Checked once for all users. Without listeners no event is built.
    WHERE im_event_wanted('presence.changed')
),
told AS (
    SELECT im_emit('presence.changed', NULL, NULL,
                   jsonb_build_object('users', jsonb_agg(change ORDER BY user_id)), NULL, $2)
    FROM placed GROUP BY event ORDER BY event
),
-- The replicas whose users hear of it.
signalled AS (
    SELECT im_signal_users(array_agg(user_id)) AS parts FROM changed HAVING count(*) > 0
)
SELECT (SELECT count(*) FROM changed) AS changed, (SELECT count(*) FROM told) AS events,
       (SELECT parts FROM signalled) AS signals
