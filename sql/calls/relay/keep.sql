-- Keeps the newest of a name until the call ends. No row: the call has ended, or has too many names.
-- $1 call id, $2 name, $3 user id, $4 data, $5 most names
WITH open AS MATERIALIZED (
    SELECT call_id FROM t_im_call WHERE call_id = $1 AND state <> 'ended' FOR UPDATE
)
INSERT INTO t_im_call_data AS d (call_id, name, user_id, data)
SELECT open.call_id, $2, $3, $4 FROM open
WHERE (SELECT count(*) FROM t_im_call_data other WHERE other.call_id = $1 AND other.name <> $2) < $5::bigint
ON CONFLICT (call_id, name) DO UPDATE SET user_id = excluded.user_id, data = excluded.data
RETURNING d.call_id
