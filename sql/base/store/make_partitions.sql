-- Creates the partitions of today and the next days, by the clock that gives messages their time.
-- $1 days ahead, $2 whether a partition holds a month
SELECT im_make_partitions((im_clock() AT TIME ZONE 'UTC')::date + ahead, $2)
FROM generate_series(0, $1::integer) AS ahead
