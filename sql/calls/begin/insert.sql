-- Begins a call in a locked channel: the caller is in it, all other people of the channel are called.
-- $1 channel id, $2 caller, $3 media, $4 now, $5 rings until, $6 ends by
WITH made AS (
    INSERT INTO t_im_call (channel_id, caller, media, began_at, rings_until, ends_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    RETURNING call_id
),
called AS (
    INSERT INTO t_im_call_user (call_id, user_id, state, joined_at)
    SELECT made.call_id, m.user_id, CASE WHEN m.user_id = $2 THEN 'joined' ELSE 'ringing' END,
           CASE WHEN m.user_id = $2 THEN $4::timestamptz END
    FROM made
    JOIN t_im_channel_user m ON m.channel_id = $1 AND m.to_seq IS NULL
    CROSS JOIN LATERAL (SELECT user_id, active, kind FROM t_im_user WHERE user_id = m.user_id OFFSET 0) AS u
    WHERE u.active AND (u.kind <> 'application' OR u.user_id = $2)
    RETURNING user_id
)
SELECT made.call_id, (SELECT count(*) FROM called) AS users FROM made
