-- The partitions of today and some days on, by the clock messages are stamped with.
-- $1 days ahead, $2 whether a partition holds a month
SELECT im_make_partitions((im_clock() AT TIME ZONE 'UTC')::date + ahead, $2)
FROM generate_series(0, $1::integer) AS ahead
