-- Presence, as gateway instances report it. t_im_user.status says whether any instance holds a connection of
-- the user. It is written only when it changes.
ALTER TABLE t_im_user
    -- Since when the status holds; null: the user has never been online.
    ADD COLUMN status_since timestamptz;
-- The status changes often and is in no index. Free space on the page keeps its updates HOT.
ALTER TABLE t_im_user SET (fillfactor = 50);

-- A gateway instance that reports its connections. The row is the lock under which its reports are applied
-- one by one. An instance that is silent for too long counts as gone.
CREATE TABLE t_im_presence_gateway (
    gateway     text COLLATE "C" PRIMARY KEY,
    heard_at    timestamptz NOT NULL,
    -- Rises with every new snapshot.
    generation  bigint NOT NULL,
    -- The caller's id of the last snapshot. Further and repeated parts use the same id.
    snapshot_id text,
    -- Users whose generation is below this one are released, in steps.
    kept_from   bigint NOT NULL DEFAULT 0,
    -- Since when; null: all of them are released.
    sweep_since timestamptz,
    -- Whether a snapshot is complete since the instance was new or counted as gone.
    complete    boolean NOT NULL
) WITH (fillfactor = 50);

-- The users whose connections an instance holds. There are no foreign keys: rows are written under the locks
-- of instance and user. Users are never deleted, and an instance only without users.
CREATE TABLE t_im_presence (
    gateway    text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    -- The generation in which the instance last named the user as online. It is in no index, so that updates
    -- stay HOT.
    generation bigint NOT NULL,
    PRIMARY KEY (gateway, user_id)
) WITH (fillfactor = 50);
-- For the check whether any instance holds a user.
CREATE INDEX t_im_presence_user ON t_im_presence (user_id);
