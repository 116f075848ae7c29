-- Changes a group. A flag says whether its value applies. When newcomers begin to see everything, they see
-- the messages from now on, not the earlier ones. When only the owner and admins add users, the invites of others go. An
-- earlier statement locks the channel.
-- $1 channel id, $2/$3 name, $4/$5 picture, $6/$7 announcement, $8 newcomers_see or null, $9 who_sends or null,
-- $10/$11 description, $12 join_rule or null, $13 who_adds or null, $14 findable or null
WITH revoked AS (
    DELETE FROM t_im_invite i
    WHERE i.channel_id = $1 AND $13::text = 'admins'
      AND NOT EXISTS (SELECT FROM t_im_channel_user m
                      WHERE m.channel_id = i.channel_id AND m.user_id = i.created_by AND m.to_seq IS NULL AND m.role <> 'member'
                      OFFSET 0)
)
UPDATE t_im_channel
SET channel_name = CASE WHEN $2 THEN $3 ELSE channel_name END,
    picture = CASE WHEN $4 THEN $5 ELSE picture END,
    announcement = CASE WHEN $6 THEN $7 ELSE announcement END,
    newcomers_see = coalesce($8, newcomers_see),
    who_sends = coalesce($9, who_sends),
    description = CASE WHEN $10 THEN $11 ELSE description END,
    join_rule = coalesce($12, join_rule),
    who_adds = coalesce($13, who_adds),
    findable = coalesce($14, findable),
    sees_floor_seq = CASE WHEN $8 = 'everything' AND newcomers_see = 'nothing' THEN last_seq + 1 ELSE sees_floor_seq END
WHERE channel_id = $1
