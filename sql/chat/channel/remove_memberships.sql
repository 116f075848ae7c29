-- Ends several memberships, as part.sql does, but never that of the owner. An earlier statement locks the
-- channel.
-- $1 channel id, $2 user ids
-- parted: the removed members, member_count: the members that are left
WITH channel AS (
    SELECT last_seq FROM t_im_channel WHERE channel_id = $1
),
removed AS (
    DELETE FROM t_im_channel_user m USING channel c, unnest($2::text[]) AS given (user_id)
    -- The array of one makes each user a key lookup. ANY ($2) could be searched for each member.
    WHERE m.channel_id = $1 AND m.user_id = ANY (ARRAY[given.user_id]) AND m.to_seq IS NULL AND m.role <> 'owner' AND m.from_seq > c.last_seq
    RETURNING m.user_id
),
closed AS (
    UPDATE t_im_channel_user m SET to_seq = c.last_seq, sees_from_seq = m.from_seq, role = 'member'
    FROM channel c, unnest($2::text[]) AS given (user_id)
    WHERE m.channel_id = $1 AND m.user_id = ANY (ARRAY[given.user_id]) AND m.to_seq IS NULL AND m.role <> 'owner' AND m.from_seq <= c.last_seq
    RETURNING m.user_id
),
parted AS MATERIALIZED (
    SELECT user_id FROM removed UNION ALL SELECT user_id FROM closed
)
UPDATE t_im_channel SET member_count = member_count - (SELECT count(*) FROM parted)
WHERE channel_id = $1
RETURNING ARRAY(SELECT user_id FROM parted ORDER BY user_id) AS parted, member_count,
          im_clear_members($1, ARRAY(SELECT user_id FROM parted))
