-- Deletes an invite of a group, any or only of one creator.
-- $1 channel id, $2 invite id, $3 creator, or null for any
DELETE FROM t_im_invite WHERE channel_id = $1 AND invite_id = $2 AND ($3::text IS NULL OR created_by = $3)
