-- Takes the turn of a replay by a link until the transaction ends, and counts the pairs that wait for the callback, of its
-- queue up to a limit.
-- $1 callback id, $2 the limit
SELECT pg_try_advisory_xact_lock(hashtextextended('im-replay:' || $1::text, 0)) AS held,
       (SELECT coalesce(sum(pairs), 0)::bigint
        FROM (SELECT pairs FROM t_im_push_queue WHERE callback_id = $1 LIMIT $2::bigint + 1) AS queue)
       + (SELECT coalesce(sum(pairs), 0)::bigint FROM t_im_push_batch WHERE callback_id = $1) AS waiting
