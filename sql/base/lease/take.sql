-- Takes or extends a lease; no row means that another replica has it. The epoch rises when the holder
-- changes. A lease that ends later than any lease taken now was taken before the clock went back, and is
-- ignored.
-- $1 name, $2 holder, $3 now, $4 until
WITH held AS MATERIALIZED (
    -- More than half of the lease is left: a worker that asks at every step does not commit at every step.
    SELECT epoch FROM t_im_lease
    WHERE name = $1 AND holder = $2 AND until <= $4 AND until - $3::timestamptz > ($4::timestamptz - $3) / 2
),
taken AS (
    INSERT INTO t_im_lease AS l (name, holder, epoch, until)
    SELECT $1, $2, 1, $4 WHERE NOT EXISTS (SELECT FROM held)
    ON CONFLICT (name) DO UPDATE
    SET holder = EXCLUDED.holder, until = EXCLUDED.until,
        epoch = l.epoch + CASE WHEN l.holder = EXCLUDED.holder THEN 0 ELSE 1 END
    WHERE l.holder = EXCLUDED.holder OR l.until <= $3 OR l.until > $4
    RETURNING epoch
)
SELECT epoch FROM held UNION ALL SELECT epoch FROM taken
