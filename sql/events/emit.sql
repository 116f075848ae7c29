-- Writes an event in the transaction of the change, if it has listeners.
-- $1 type, $2 channel id, $3 actor, $4 data, $5 users who receive it in addition to the members
SELECT im_emit($1, $2, $3, $4, $5, im_clock())
