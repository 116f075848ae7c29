-- An invitation by its id.
-- $1 invitation id
SELECT invitation_id, note, uses, uses_max, created_by, created_at, expires_at FROM t_im_invitation WHERE invitation_id = $1
