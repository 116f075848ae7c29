-- Changes the note of a favourite.
-- $1 user id, $2 ms_id, $3 note or null
UPDATE t_im_favourite SET note = $3 WHERE user_id = $1 AND ms_id = $2
