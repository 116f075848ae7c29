-- Forgets expired key packages, and counts of claims whose hour has ended.
-- $1 now, $2 the start of the hour, $3 the most rows of each
WITH expired AS (
    DELETE FROM t_im_key_package
    WHERE package_id = ANY (ARRAY(SELECT package_id FROM t_im_key_package WHERE expires_at <= $1 ORDER BY expires_at LIMIT $3
                                  FOR UPDATE SKIP LOCKED))
),
ended AS (
    SELECT claimer, user_id FROM t_im_key_package_claim WHERE hour < $2 ORDER BY hour LIMIT $3 FOR UPDATE SKIP LOCKED
)
DELETE FROM t_im_key_package_claim c USING ended WHERE c.claimer = ended.claimer AND c.user_id = ended.user_id
