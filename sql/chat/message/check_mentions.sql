-- Finds the mentions of a batch of sends that are not allowed, one of each send. A later statement of the transaction
-- refuses these sends.
-- $1 channel ids, $2 senders, $3 places of the sends in the batch, $4 positions in the list of mentions, $5 user ids, or
-- /all: one element per mention
-- $6 whether only admins and applications mention all members of a group
WITH wrong AS MATERIALIZED (
    SELECT given.place, min(given.position) AS position
    FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::integer[], $5::text[])
         AS given (channel_id, sender, place, position, user_id)
    LEFT JOIN LATERAL (SELECT user_id FROM t_im_channel_user
                       WHERE channel_id = given.channel_id AND user_id = given.user_id AND to_seq IS NULL OFFSET 0) AS member ON true
    WHERE CASE WHEN given.user_id = '/all'
               THEN $6
                    AND EXISTS (SELECT FROM t_im_channel WHERE channel_id = given.channel_id AND channel_type = 'group' OFFSET 0)
                    AND NOT EXISTS (SELECT FROM t_im_channel_user
                                    WHERE channel_id = given.channel_id AND user_id = given.sender AND to_seq IS NULL
                                      AND role <> 'member' OFFSET 0)
                    AND NOT EXISTS (SELECT FROM t_im_user WHERE user_id = given.sender AND kind = 'application' OFFSET 0)
               ELSE member.user_id IS NULL END
    GROUP BY given.place
)
SELECT place, position
FROM wrong
CROSS JOIN (SELECT set_config('im.refused', (coalesce(nullif(current_setting('im.refused', true), ''), '{}')::integer[]
                                             || array_agg(place))::text, true)
            FROM wrong) AS noted
