-- Instances that are silent, or whose snapshot should have been applied long ago. A sign of life far in the
-- future dates from before the clock went back.
-- $1 silent before, $2 times after this are in the future, $3 snapshots that ended before, $4 most instances
SELECT gateway FROM t_im_presence_gateway
WHERE heard_at < $1 OR heard_at > $2 OR sweep_since < $3 OR sweep_since > $2
ORDER BY gateway LIMIT $4
