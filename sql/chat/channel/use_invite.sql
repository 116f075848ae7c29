-- Takes one use of an invite, if one is left. An earlier statement locks the channel.
-- $1 invite id, $2 now
UPDATE t_im_invite SET uses_left = uses_left - 1 WHERE invite_id = $1 AND uses_left > 0 AND expires_at > $2
