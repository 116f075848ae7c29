-- Deletes a step of calls that have ended before a time, with their users.
-- $1 before, $2 most calls
WITH old AS MATERIALIZED (
    SELECT call_id FROM t_im_call WHERE state = 'ended' AND ended_at < $1 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
),
users AS (
    DELETE FROM t_im_call_user u USING old WHERE u.call_id = old.call_id
)
DELETE FROM t_im_call c USING old WHERE c.call_id = old.call_id
