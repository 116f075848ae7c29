-- Uses an invitation once. Of two at once, the second sees what the first has left.
-- $1 SHA-256 of the code, $2 now
UPDATE t_im_invitation SET uses = uses + 1
WHERE code_hash = $1 AND expires_at > $2::timestamptz AND uses < uses_max
