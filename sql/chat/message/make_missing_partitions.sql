-- Makes the partitions that a batch of sends may need: today and tomorrow, and the same two days of each channel
-- whose last id is ahead of the clock.
-- $1 channel ids, $2 whether a partition holds a month
SELECT im_make_partitions(day, $2)
FROM (
    SELECT (moment AT TIME ZONE 'UTC')::date + ahead AS day
    FROM (SELECT im_clock() AS moment
          UNION SELECT im_minted_at(last_ms_id) FROM t_im_channel
          WHERE channel_id = ANY ($1::bigint[]) AND last_ms_id > im_first_ms_id(im_clock())) AS moments,
         generate_series(0, 1) AS ahead
    UNION SELECT (im_minted_at(sealed_ms_id) AT TIME ZONE 'UTC')::date FROM t_im_horizon WHERE sealed_ms_id > im_first_ms_id(im_clock())
) AS days
GROUP BY day
ORDER BY day
