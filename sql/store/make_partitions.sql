-- The partitions of today and some days on, by the clock messages are stamped with.
-- $1 days ahead
SELECT im_make_partitions((im_clock() AT TIME ZONE 'UTC')::date + ahead)
FROM generate_series(0, $1::integer) AS ahead
