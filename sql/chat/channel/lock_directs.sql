-- Locks the direct channels of a user with others, as a send does. They stay direct until the transaction ends. Leaves
-- out channels that another transaction holds.
-- $1 user, $2 the others
SELECT given.other, c.channel_id
FROM unnest($2::text[] COLLATE "C") AS given (other)
CROSS JOIN LATERAL (
    SELECT channel_id FROM t_im_channel
    WHERE pair_low = least(given.other, $1 COLLATE "C") AND pair_high = greatest(given.other, $1 COLLATE "C")
    FOR NO KEY UPDATE SKIP LOCKED
) AS c
