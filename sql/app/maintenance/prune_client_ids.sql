-- Deletes old client ids in a range of the table's pages. An index by age would cost every send. A walk through the
-- table, one range at a time, reads each row once per pass.
-- $1 minted before, $2 first page, $3 number of pages
-- pruned: number of deleted rows; pages: number of pages of the table
WITH pruned AS (
    DELETE FROM t_im_client_id
    WHERE ctid >= format('(%s,0)', $2::bigint)::tid AND ctid < format('(%s,0)', $2::bigint + $3::bigint)::tid
      AND ms_id < (SELECT im_first_ms_id($1))
    RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS pruned,
       pg_relation_size('t_im_client_id') / current_setting('block_size')::bigint AS pages
