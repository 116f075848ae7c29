-- One page of the audit, newest first.
-- $1 before this id, $2 actor or null, $3 limit
SELECT audit_id, at, actor, action, reason, filter, results FROM t_im_audit
WHERE audit_id < $1 AND ($2::text IS NULL OR actor = $2)
ORDER BY audit_id DESC
LIMIT $3
