-- Deletes actions on messages that are cold.
-- $1 most rows
DELETE FROM t_im_card_action
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM t_im_card_action WHERE ms_id < (SELECT ms_id FROM t_im_horizon) ORDER BY ms_id LIMIT $1::bigint))
