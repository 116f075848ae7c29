-- Which transactions have ended, of all that have an id: all below `ended`. The next one gets `next`.
SELECT pg_snapshot_xmin(s)::text::bigint AS ended, pg_snapshot_xmax(s)::text::bigint AS next
FROM pg_current_snapshot() AS s
