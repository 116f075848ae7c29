-- Takes or prolongs a lease; no row: somebody else has it. The epoch rises when it changes hands. One
-- that ends later than any lease taken now was taken before the clock went back, and counts no more.
-- $1 name, $2 holder, $3 now, $4 until
INSERT INTO t_im_lease AS l (name, holder, epoch, until) VALUES ($1, $2, 1, $4)
ON CONFLICT (name) DO UPDATE
SET holder = EXCLUDED.holder, until = EXCLUDED.until,
    epoch = l.epoch + CASE WHEN l.holder = EXCLUDED.holder THEN 0 ELSE 1 END
WHERE l.holder = EXCLUDED.holder OR l.until <= $3::timestamptz OR l.until > $4::timestamptz
RETURNING epoch
