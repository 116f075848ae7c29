-- Who is online, as instances of the gateway tell it. t_im_user.status says whether any instance holds a
-- connection of theirs, and is written only when that changes.
ALTER TABLE t_im_user
    -- Since when the status is what it is; null: never been online.
    ADD COLUMN status_since timestamptz;
-- The status comes and goes and is in no index: with room on its page its update stays HOT.
ALTER TABLE t_im_user SET (fillfactor = 50);

-- An instance of the gateway that reports whose connections it holds. The row is the lock under which
-- its reports are taken, one after another. One that has been silent for too long is taken as gone.
CREATE TABLE t_im_presence_gateway (
    gateway     text COLLATE "C" PRIMARY KEY,
    heard_at    timestamptz NOT NULL,
    -- Rises with every snapshot that begins.
    generation  bigint NOT NULL,
    -- The caller's name of the last snapshot, so that its further parts, and repeated ones, belong to it.
    snapshot_id text,
    -- Whom no report of this generation or a later one has named is let go, a step at a time.
    kept_from   bigint NOT NULL DEFAULT 0,
    -- Since when; null: all of them have been let go.
    sweep_since timestamptz,
    -- Whether a snapshot was through since it was first heard, or last taken as gone.
    complete    boolean NOT NULL
) WITH (fillfactor = 50);

-- Whose connections an instance holds. Without foreign keys: rows are written under the locks of
-- their instance and person, nobody is ever deleted, and an instance only once it holds nobody.
CREATE TABLE t_im_presence (
    gateway    text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    -- Of the instance when it last named them as online; in no index, so that a snapshot's updates stay HOT.
    generation bigint NOT NULL,
    PRIMARY KEY (gateway, user_id)
) WITH (fillfactor = 50);
-- Whether anybody holds a person.
CREATE INDEX t_im_presence_user ON t_im_presence (user_id);
