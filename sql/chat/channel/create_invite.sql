-- Creates an invite, if the group has room for one. An earlier statement locks the channel.
-- $1 channel id, $2 code, $3 uses, $4 expires at, $5 creator, $6 now, $7 most invites of a group
INSERT INTO t_im_invite (channel_id, code, uses_left, expires_at, created_by, created_at)
SELECT $1, $2, $3, $4, $5, $6
WHERE (SELECT count(*) FROM t_im_invite WHERE channel_id = $1) < $7::bigint
RETURNING invite_id, channel_id, code, uses_left, expires_at, created_by, created_at
