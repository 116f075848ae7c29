-- Ends an attempt. Edits queued after an applied one were made on top of its values, so their base takes
-- these values.
-- $1 edit id, $2 state, $3 detail, $4 what the source has, $5 its version of that, $6 due at, $7 whether the
-- user was read, $8 now
WITH ended AS (
    UPDATE t_im_directory_edit
    SET state = $2, detail = $3, theirs = $4, theirs_version = $5, due_at = $6, set_at = $8,
        failures = failures + CASE WHEN $2 = 'waiting' THEN 1 ELSE 0 END,
        heard_at_call = CASE WHEN $7::boolean THEN nextval('im_directory_call') ELSE heard_at_call END,
        ended_at = CASE WHEN $2 <> 'waiting' THEN $8::timestamptz END
    WHERE edit_id = $1
    RETURNING user_id, attributes
)
UPDATE t_im_directory_edit later
SET base = later.base || (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(ended.attributes)
                          WHERE later.base ? key)
FROM ended
WHERE $2 = 'applied' AND later.user_id = (SELECT user_id FROM ended) AND later.edit_id > $1 AND later.ended_at IS NULL
