-- The group of a code that can still be used.
-- $1 code, $2 now
SELECT invite_id, channel_id FROM t_im_invite WHERE code = $1 AND uses_left > 0 AND expires_at > $2
