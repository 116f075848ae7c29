-- Counts a claim, if the claimer has any left in this hour. No row: there is none left.
-- $1 claimer, $2 user id, $3 the start of the hour, $4 the most claims an hour
INSERT INTO t_im_key_package_claim AS c (claimer, user_id, hour, claims)
VALUES ($1, $2, $3, 1)
ON CONFLICT (claimer, user_id) DO UPDATE
SET hour = excluded.hour, claims = CASE WHEN c.hour = excluded.hour THEN c.claims + 1 ELSE 1 END
WHERE c.hour <> excluded.hour OR c.claims < $4
RETURNING claims
