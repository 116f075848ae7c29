-- Marks a snapshot as applied, unless a later one has ended meanwhile.
-- $1 gateway, $2 the first generation that it keeps
UPDATE t_im_presence_gateway SET sweep_since = NULL
WHERE gateway = $1 AND kept_from = $2 AND sweep_since IS NOT NULL
