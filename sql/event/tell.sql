-- Writes an event, in the transaction of what it tells, if anybody may want it.
-- $1 type, $2 channel id, $3 whose doing it is, $4 data, $5 who is told besides the channel's members
SELECT im_tell($1, $2, $3, $4, $5, im_clock())
