-- The oldest and the newest message of the batch of an attempt: a look at one message finds the attempts that may have
-- held it.
ALTER TABLE t_im_push_attempt
    ADD COLUMN from_ms_id bigint,
    ADD COLUMN to_ms_id bigint;
