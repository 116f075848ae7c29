-- What a user did on a version of a card.
-- $1 ms_id, $2 user id, $3 version
SELECT button_id, value FROM t_im_card_action WHERE ms_id = $1 AND user_id = $2 AND version = $3
