-- Forgets old client ids in a stretch of the table's pages. Every send would pay for an index by age; a walk through
-- the table, a stretch at a time, costs each row one look a pass.
-- $1 minted before, $2 first page, $3 how many pages
-- pruned: how many; pages: how many the table has
WITH pruned AS (
    DELETE FROM t_im_client_id
    WHERE ctid >= format('(%s,0)', $2::bigint)::tid AND ctid < format('(%s,0)', $2::bigint + $3::bigint)::tid
      AND ms_id < (SELECT im_first_ms_id($1))
    RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS pruned,
       pg_relation_size('t_im_client_id') / current_setting('block_size')::bigint AS pages
