-- Deletes an invitation.
-- $1 invitation id
DELETE FROM t_im_invitation WHERE invitation_id = $1
