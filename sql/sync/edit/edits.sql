-- One page of all edits in some states, newest first.
-- $1 states, $2 before this edit id, $3 limit
SELECT e.*
FROM unnest($1::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT edit_id, user_id, attributes, base, theirs, state, detail, attempts, due_at, asked_by, asked_at, ended_at
    FROM t_im_directory_edit t
    -- Equal states, written as a row comparison so that the index by state serves. By id, a rare state means a scan.
    WHERE (t.state, t.edit_id) < (wanted.state, $2) AND t.state >= wanted.state
    ORDER BY t.state DESC, t.edit_id DESC
    LIMIT $3
) AS e
ORDER BY e.edit_id DESC
LIMIT $3
