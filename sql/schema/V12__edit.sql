-- Edits of people: what is ours to say is applied at once, and what the directory owns waits here until its source
-- has taken it. One after another of each person, so that what was asked for last is what stays.
CREATE TABLE t_im_directory_edit (
    edit_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id        text COLLATE "C" NOT NULL REFERENCES t_im_user,
    -- Whose the person was when the edit was made: no other source is told of it.
    source         text COLLATE "C" NOT NULL,
    -- {attribute: new value}; null clears. A manager stands in it by the source's id.
    attributes     jsonb NOT NULL,
    -- What the same attributes were when it was made. Only a source that still says so is written to.
    base           jsonb NOT NULL,
    -- What the source called its version of the person then, if it was known.
    base_version   text,
    -- What a source that says something else says, and the version it calls that.
    theirs         jsonb,
    theirs_version text,
    -- waiting: to be sent. sent: an attempt is under way, or was when its replica died. applied: the source has it.
    -- conflict: the source says something else by now. refused: it will not have it. failed: it was away too long.
    state          text NOT NULL DEFAULT 'waiting',
    detail         text,
    -- Attempts ever, each with a number of its own, and those that failed since it was asked for.
    attempts       integer NOT NULL DEFAULT 0,
    failures       integer NOT NULL DEFAULT 0,
    -- waiting: not before; sent: until then it is the replica's that sends it.
    due_at         timestamptz NOT NULL,
    -- When that was set.
    set_at         timestamptz NOT NULL,
    give_up_at     timestamptz NOT NULL,
    asked_by       text COLLATE "C" NOT NULL,
    asked_at       timestamptz NOT NULL,
    ended_at       timestamptz,
    -- When, as im_directory_call counts, the person was last read for it: what a run has heard from before is older.
    heard_at_call  bigint,
    CONSTRAINT edit_state_known CHECK (state IN ('waiting', 'sent', 'applied', 'conflict', 'refused', 'failed', 'cancelled')),
    CONSTRAINT edit_ended CHECK ((ended_at IS NULL) = (state IN ('waiting', 'sent')))
);
-- The edits of a person that are to be sent, in their order; and what is due of all of them.
CREATE INDEX t_im_directory_edit_pending ON t_im_directory_edit (user_id, edit_id) WHERE ended_at IS NULL;
CREATE INDEX t_im_directory_edit_due ON t_im_directory_edit (due_at) WHERE ended_at IS NULL;
-- One attempt for a person at a time, whoever makes it.
CREATE UNIQUE INDEX edit_one_under_way ON t_im_directory_edit (user_id) WHERE state = 'sent';
-- What is shown of a person, and by state; what is old enough to forget.
CREATE INDEX t_im_directory_edit_user ON t_im_directory_edit (user_id, edit_id);
CREATE INDEX t_im_directory_edit_state ON t_im_directory_edit (state, edit_id);
CREATE INDEX t_im_directory_edit_ended ON t_im_directory_edit (ended_at) WHERE ended_at IS NOT NULL;
-- Whom a run must not take by what it has heard: few, whoever the run is about.
CREATE INDEX t_im_directory_edit_heard ON t_im_directory_edit (heard_at_call) WHERE heard_at_call IS NOT NULL;

-- When, as im_directory_call counts, a run began to listen.
ALTER TABLE t_im_directory_run ADD COLUMN begun_at_call bigint;
