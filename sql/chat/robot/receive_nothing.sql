-- Clears the bit of a robot among the members, so that it is no receiver. An earlier statement locks the channel.
-- $1 channel id, $2 user id
SELECT im_clear_members($1, ARRAY[$2])
