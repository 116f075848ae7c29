-- Notes that users had an audible push. In user id order, so that two replicas do not deadlock.
-- $1 user ids, $2 now
INSERT INTO t_im_alerted (user_id, alerted_at)
SELECT DISTINCT user_id, $2::timestamptz FROM unnest($1::text[]) AS given (user_id) ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE SET alerted_at = EXCLUDED.alerted_at
