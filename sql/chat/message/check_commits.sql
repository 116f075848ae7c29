-- Finds the commits of a batch of sends to encrypted channels that do not name the epoch of their channel, and all but the
-- first commit to each channel: these wait until the first is decided. A later statement of the transaction refuses these
-- sends. An earlier one locks the channels, so no other commit takes the epoch meanwhile.
-- $1 channel ids, $2 places of the sends in the batch, $3 epochs: one element per commit
WITH given AS MATERIALIZED (
    SELECT channel_id, place, epoch, row_number() OVER (PARTITION BY channel_id ORDER BY place) > 1 AS waits
    FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS given (channel_id, place, epoch)
),
wrong AS MATERIALIZED (
    SELECT given.place, given.waits, channel.mls_epoch AS epoch
    FROM given
    CROSS JOIN LATERAL (SELECT mls_epoch FROM t_im_channel WHERE channel_id = given.channel_id OFFSET 0) AS channel
    WHERE channel.mls_epoch IS NOT NULL AND (given.waits OR given.epoch <> channel.mls_epoch)
)
SELECT place, waits, epoch
FROM wrong
CROSS JOIN (SELECT set_config('im.refused', (coalesce(nullif(current_setting('im.refused', true), ''), '{}')::integer[]
                                             || array_agg(place))::text, true)
            FROM wrong) AS noted
