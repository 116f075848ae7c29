-- Creates a group with its owner and members. The group is invisible before the commit, so all members fit
-- into one step.
-- $1 owner, $2 name, $3 picture, $4 newcomers_see, $5 members other than the owner, $6 now, $7 who_sends
-- $8 description, $9 join_rule, $10 who_adds, $11 findable, $12 words, $13 whether it is encrypted
WITH made AS (
    INSERT INTO t_im_channel
        (channel_type, creator, owner, channel_name, picture, newcomers_see, who_sends, create_time, member_count,
         description, join_rule, who_adds, findable, words, mls_epoch)
    VALUES ('group', $1, $1, $2, $3, $4, $7, $6, 1 + cardinality($5::text[]), $8, $9, $10, $11, $12, CASE WHEN $13 THEN 0 END)
    RETURNING channel_id
),
joined AS (
    INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, role, joined_at, read_seq, read_ms_id)
    SELECT made.channel_id, member.user_id, 1, 0, 1, member.role, $6, 0, 0
    FROM made, (SELECT $1 AS user_id, 'owner' AS role
                UNION ALL SELECT unnest($5::text[]), 'member') AS member
)
SELECT channel_id, im_set_members(channel_id, ARRAY[$1] || $5::text[]) FROM made
