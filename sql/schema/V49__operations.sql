-- A look at one message finds the items and dead letters of its channel. In-turn items have such an index already. Both
-- tables get few rows: receivers who are asked again, replays, and what was given up.
CREATE INDEX t_im_push_queue_out_of_turn ON t_im_push_queue (callback_id, channel_id) WHERE NOT in_turn;
CREATE INDEX t_im_push_dead_channel ON t_im_push_dead (callback_id, channel_id);
