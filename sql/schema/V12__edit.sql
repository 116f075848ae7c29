-- Edits of users. Our own attributes are changed at once. Attributes of the source wait here until the source
-- has taken them. A user's edits are sent one at a time, so that the last one wins.
CREATE TABLE t_im_directory_edit (
    edit_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id        text COLLATE "C" NOT NULL REFERENCES t_im_user,
    -- The user's source when the edit was made. It is sent to no other source.
    source         text COLLATE "C" NOT NULL,
    -- {attribute: new value}; null clears. A manager is given by external id.
    attributes     jsonb NOT NULL,
    -- The values when the edit was made. It is sent only if the source still has them.
    base           jsonb NOT NULL,
    -- The source's version of the user at that time, if known.
    base_version   text,
    -- After a conflict: the source's values and their version.
    theirs         jsonb,
    theirs_version text,
    -- waiting: to be sent. sent: an attempt is running, or its replica died. applied: the source has it.
    -- conflict: the source has other values. refused: the source refuses it. failed: the source was away too
    -- long.
    state          text NOT NULL DEFAULT 'waiting',
    detail         text,
    -- All attempts, numbered, and the failures since the edit was asked for.
    attempts       integer NOT NULL DEFAULT 0,
    failures       integer NOT NULL DEFAULT 0,
    -- waiting: not sent before this time; sent: claimed by a replica until this time.
    due_at         timestamptz NOT NULL,
    -- When due_at was set.
    set_at         timestamptz NOT NULL,
    give_up_at     timestamptz NOT NULL,
    asked_by       text COLLATE "C" NOT NULL,
    asked_at       timestamptz NOT NULL,
    ended_at       timestamptz,
    -- The count of im_directory_call when the user was last read for this edit. Records that a run read
    -- before are older.
    heard_at_call  bigint,
    CONSTRAINT edit_state_known CHECK (state IN ('waiting', 'sent', 'applied', 'conflict', 'refused', 'failed', 'cancelled')),
    CONSTRAINT edit_ended CHECK ((ended_at IS NULL) = (state IN ('waiting', 'sent')))
);
-- A user's pending edits in their order; due edits of all users.
CREATE INDEX t_im_directory_edit_pending ON t_im_directory_edit (user_id, edit_id) WHERE ended_at IS NULL;
CREATE INDEX t_im_directory_edit_due ON t_im_directory_edit (due_at) WHERE ended_at IS NULL;
-- One running attempt for each user.
CREATE UNIQUE INDEX edit_one_under_way ON t_im_directory_edit (user_id) WHERE state = 'sent';
-- Edits shown by user and by state; edits old enough to delete.
CREATE INDEX t_im_directory_edit_user ON t_im_directory_edit (user_id, edit_id);
CREATE INDEX t_im_directory_edit_state ON t_im_directory_edit (state, edit_id);
CREATE INDEX t_im_directory_edit_ended ON t_im_directory_edit (ended_at) WHERE ended_at IS NOT NULL;
-- Users whose staged records may be outdated. They are few.
CREATE INDEX t_im_directory_edit_heard ON t_im_directory_edit (heard_at_call) WHERE heard_at_call IS NOT NULL;

-- The count of im_directory_call when a run began its listing.
ALTER TABLE t_im_directory_run ADD COLUMN begun_at_call bigint;
