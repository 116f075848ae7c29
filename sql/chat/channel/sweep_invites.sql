-- Deletes the invites of a group that are used up or expired. An earlier statement locks the channel.
-- $1 channel id, $2 now
DELETE FROM t_im_invite WHERE channel_id = $1 AND (uses_left = 0 OR expires_at <= $2)
