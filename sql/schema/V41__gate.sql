-- The gate: a callback that is asked about each message before it is stored.
ALTER TABLE t_im_callback
    -- What becomes of a message if the gate gives no answer. Only the gate has it.
    ADD COLUMN without_answer text,
    -- The gate is asked about messages of senders of these kinds; null: of all.
    ADD COLUMN sender_kinds text[],
    DROP CONSTRAINT callback_kind_known,
    DROP CONSTRAINT callback_observer_somewhere,
    ADD CONSTRAINT callback_kind_known CHECK (kind IN ('gateway', 'gate', 'observer')),
    ADD CONSTRAINT callback_observer_somewhere CHECK (kind <> 'observer' OR url IS NOT NULL),
    ADD CONSTRAINT callback_one_gate CHECK ((kind = 'gate') = (callback_id = 'gate')),
    ADD CONSTRAINT callback_gate_decides CHECK ((kind = 'gate') = (without_answer IS NOT NULL)),
    ADD CONSTRAINT callback_without_answer_known CHECK (without_answer IN ('allow', 'refuse')),
    ADD CONSTRAINT callback_sender_kinds_known CHECK (
        sender_kinds IS NULL OR kind = 'gate' AND sender_kinds <@ ARRAY['internal', 'external', 'application']);

-- Whether the gate has replaced the content, for the answer to a repeat.
ALTER TABLE t_im_notification ADD COLUMN replaced boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN t_im_client_id.digest IS 'of what the caller said; a byte more if the gate has replaced the content';
