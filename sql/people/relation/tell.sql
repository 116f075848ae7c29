-- Tells a user, and observers, what the relation to the other one is now.
-- $1 user, $2 data
SELECT im_emit('relation.changed', NULL, $1, $2, ARRAY[$1], im_clock())
