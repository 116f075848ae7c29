-- Claims a due edit: the first of its user, or one whose replica died while sending. Its time to give up is
-- no later than that of an edit asked for now.
-- $1 now, $2 claimed until, $3 the latest time to give up
UPDATE t_im_directory_edit
SET state = 'sent', attempts = attempts + 1, due_at = $2, set_at = $1, give_up_at = least(give_up_at, $3)
WHERE edit_id = (
    SELECT e.edit_id FROM t_im_directory_edit e
    WHERE e.ended_at IS NULL AND (e.due_at <= $1 OR im_stepped_back(e.set_at, $1))
      AND (e.state = 'sent'
           OR NOT EXISTS (SELECT FROM (SELECT * FROM t_im_directory_edit WHERE user_id = e.user_id OFFSET 0) AS other
                          WHERE other.ended_at IS NULL AND other.edit_id <> e.edit_id
                            AND (other.state = 'sent' OR other.edit_id < e.edit_id)))
    ORDER BY e.due_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING edit_id, user_id, source, attributes, base, attempts, failures, give_up_at
