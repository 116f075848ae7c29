-- Instances that have gone silent, or whose snapshot should long be done with. One that was heard so much later
-- than now was heard before the clock went back.
-- $1 silent before, $2 later than any, $3 snapshots that ended before, $4 most
SELECT gateway FROM t_im_presence_gateway
WHERE heard_at < $1 OR heard_at > $2 OR sweep_since < $3 OR sweep_since > $2
ORDER BY gateway LIMIT $4
