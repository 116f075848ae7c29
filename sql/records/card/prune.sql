-- Deletes actions on messages that are cold. The values of younger ones may still be pushed or replayed.
-- $1 acted before, $2 most rows
DELETE FROM t_im_card_action
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM (
        SELECT ctid, ms_id FROM t_im_card_action
        WHERE ms_id < (SELECT ms_id FROM t_im_horizon) AND acted_at < $1
        ORDER BY ms_id LIMIT $2::bigint) AS cold))
