-- The directory: users and departments from a source, and the runs that read them.

-- The source's parent of a department is stored beside its parent in the tree. A department is at the top of
-- the tree while its parent is unknown, removed, or would close a circle.
ALTER TABLE t_im_department
    DROP CONSTRAINT t_im_department_parent_id_fkey,
    DROP CONSTRAINT department_not_own_parent,
    -- The source of the department. `api`: the API.
    ADD COLUMN source         text COLLATE "C" NOT NULL DEFAULT 'api',
    ADD COLUMN source_parent_id text COLLATE "C",
    -- Folded, to compare without case. The service folds all names, so that every locale gives the same.
    ADD COLUMN name_folded    text COLLATE "C",
    ADD COLUMN sort_order     integer NOT NULL DEFAULT 0,
    ADD COLUMN removed_at     timestamptz,
    -- Incremented with every change.
    ADD COLUMN version        bigint NOT NULL DEFAULT 1,
    ADD COLUMN created_at     timestamptz NOT NULL DEFAULT im_clock(),
    ADD COLUMN updated_at     timestamptz NOT NULL DEFAULT im_clock();
UPDATE t_im_department SET source_parent_id = parent_id;

-- A user is identified by source and external id, which the source never reuses. user_id never changes and is
-- used everywhere else. A login name can change, and can pass to another user later. Users known only from
-- the API have source `api` and their user_id as external id, until a source claims them. Those of robots have `robot`.
ALTER TABLE t_im_user
    DROP CONSTRAINT t_im_user_department_id_fkey,
    ADD COLUMN source          text COLLATE "C" NOT NULL DEFAULT 'api',
    ADD COLUMN external_id     text COLLATE "C",
    ADD COLUMN login_name      text,
    ADD COLUMN login_name_folded text COLLATE "C",
    ADD COLUMN user_id_folded  text COLLATE "C",
    ADD COLUMN employee_number text,
    ADD COLUMN title           text,
    ADD COLUMN email           text,
    ADD COLUMN email_folded    text COLLATE "C",
    ADD COLUMN phone           text,
    -- The manager's external id in the same source. The manager may come later, or never.
    ADD COLUMN manager         text COLLATE "C",
    -- Since when the source no longer has the user. An inactive user is still at the source.
    ADD COLUMN deleted_at      timestamptz,
    -- The last version the source gave: the precondition of a write.
    ADD COLUMN source_version  text,
    ADD COLUMN version         bigint NOT NULL DEFAULT 1,
    ADD COLUMN created_at      timestamptz NOT NULL DEFAULT im_clock();
UPDATE t_im_user SET external_id = user_id;
-- Rows created without an external id, like those of the API, use user_id.
CREATE FUNCTION im_known_by_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.external_id := NEW.user_id;
    RETURN NEW;
END $$;
CREATE TRIGGER t_im_user_known_by_id BEFORE INSERT ON t_im_user
    FOR EACH ROW WHEN (NEW.external_id IS NULL) EXECUTE FUNCTION im_known_by_id();
ALTER TABLE t_im_user
    ALTER COLUMN external_id SET NOT NULL,
    ADD CONSTRAINT user_of_source UNIQUE (source, external_id);
-- Sign-in by login name. For a short time two active users can have the same name; then it is valid for
-- neither.
CREATE INDEX t_im_user_login ON t_im_user (login_name_folded) WHERE active AND login_name_folded IS NOT NULL;

-- The departments of each user. The main department is also in t_im_user.department_id. There are no foreign
-- keys, because departments may come after their users. Leavers have no rows.
CREATE TABLE t_im_department_user (
    department_id text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (department_id, user_id)
);
CREATE INDEX t_im_department_user_user ON t_im_department_user (user_id);
INSERT INTO t_im_department_user
SELECT department_id, user_id FROM t_im_user WHERE active AND department_id IS NOT NULL;

-- Incremented in every transaction that changes users or departments. Followers check it first.
CREATE TABLE t_im_directory_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);
INSERT INTO t_im_directory_head DEFAULT VALUES;

-- A run: records are staged, compared and applied in short steps. The run is held if too many users would
-- leave.
CREATE TABLE t_im_directory_run (
    run_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- full: all records; incremental: changes since the token; changes: records named by a trigger.
    mode       text NOT NULL,
    -- schedule, hand, change.
    asked_by   text NOT NULL,
    dry_run    boolean NOT NULL,
    -- Whether the source was asked already.
    begun      boolean NOT NULL DEFAULT false,
    asked_at   timestamptz NOT NULL,
    ended_at   timestamptz,
    state      text NOT NULL DEFAULT 'asked',
    -- What it waits for, or why it failed.
    detail     text,
    -- The administrator who approved a held run.
    approved_by text COLLATE "C",
    -- The token for the next run, used once everything is applied.
    token      text,
    -- Number of staged records.
    staged     bigint NOT NULL DEFAULT 0,
    -- Staged rows up to this one are applied.
    applied    bigint NOT NULL DEFAULT 0,
    -- {"users": {"created": 1, …}, "departments": {…}}, by action.
    counts     jsonb NOT NULL DEFAULT '{}',
    problems   bigint NOT NULL DEFAULT 0,
    CONSTRAINT run_mode_known CHECK (mode IN ('full', 'incremental', 'changes')),
    CONSTRAINT run_state_known CHECK (state IN ('asked', 'staged', 'held', 'applying', 'done', 'shown', 'failed', 'superseded')),
    CONSTRAINT run_ended CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'shown', 'failed', 'superseded')))
);
-- Open runs, oldest first.
CREATE INDEX t_im_directory_run_open ON t_im_directory_run (run_id) WHERE ended_at IS NULL;

-- Records that were not applied, with reasons, for the administrators of the source.
CREATE TABLE t_im_directory_problem (
    run_id      bigint NOT NULL REFERENCES t_im_directory_run ON DELETE CASCADE,
    problem_id  bigint GENERATED ALWAYS AS IDENTITY,
    kind        text NOT NULL,
    external_id text,
    detail      text NOT NULL,
    PRIMARY KEY (run_id, problem_id),
    CONSTRAINT problem_kind_known CHECK (kind IN ('user', 'department'))
);

-- The token after the last run that was applied completely.
CREATE TABLE t_im_directory_source (
    source text COLLATE "C" PRIMARY KEY,
    token  text,
    full_at timestamptz
);

-- Records missing from a full listing, and since which run. If the source cannot read a single record, one
-- that is missing again in a later run has left.
CREATE TABLE t_im_directory_missing (
    source      text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    run_id      bigint NOT NULL,
    PRIMARY KEY (source, kind, external_id),
    CONSTRAINT missing_kind_known CHECK (kind IN ('user', 'department'))
);

-- Records named by a trigger, until a run has read them again. A burst for one record is one row.
CREATE TABLE t_im_directory_changed (
    kind        text NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    -- The run that reads it; null again if the record is named again meanwhile.
    run_id      bigint,
    PRIMARY KEY (kind, external_id),
    CONSTRAINT changed_kind_known CHECK (kind IN ('user', 'department'))
);

-- Staged records of a source. Unlogged: after a crash of the server they are staged again. `unset` has the
-- attributes that the record does not set; they keep their values.
CREATE UNLOGGED TABLE t_im_stage_user (
    run_id          bigint NOT NULL,
    row_no          bigint NOT NULL,
    source          text COLLATE "C" NOT NULL,
    external_id     text COLLATE "C" NOT NULL,
    -- For a new user.
    user_id         text COLLATE "C" NOT NULL,
    user_id_folded  text COLLATE "C",
    name            text,
    head_icon       text,
    active          boolean NOT NULL DEFAULT true,
    kind            text NOT NULL DEFAULT 'internal',
    login_name      text,
    login_name_folded text COLLATE "C",
    employee_number text,
    title           text,
    email           text,
    email_folded    text COLLATE "C",
    phone           text,
    manager         text,
    -- The first is the main one.
    department_ids  text[] NOT NULL DEFAULT '{}',
    source_version  text,
    -- The source no longer has the user.
    gone            boolean NOT NULL DEFAULT false,
    unset           text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, row_no)
);
CREATE UNIQUE INDEX t_im_stage_user_person ON t_im_stage_user (run_id, external_id);

CREATE UNLOGGED TABLE t_im_stage_department (
    run_id         bigint NOT NULL,
    row_no         bigint NOT NULL,
    source         text COLLATE "C" NOT NULL,
    department_id  text COLLATE "C" NOT NULL,
    name           text,
    name_folded    text COLLATE "C",
    source_parent_id text COLLATE "C",
    sort_order     integer NOT NULL DEFAULT 0,
    gone           boolean NOT NULL DEFAULT false,
    unset          text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, row_no)
);
CREATE UNIQUE INDEX t_im_stage_department_id ON t_im_stage_department (run_id, department_id);

-- The effect of each staged user record: the user, the new values and the action. The guard counts it, a dry
-- run shows it and a step applies it, so all three agree.
CREATE VIEW v_im_stage_user AS
SELECT s.run_id, s.row_no, s.external_id AS staged_external_id, u.user_id IS NULL AS is_new, u.active AS was_active,
       coalesce(u.user_id, s.user_id) AS user_id, s.user_id_folded, owner.source, owner.external_id,
       n.name, n.head_icon, n.active, n.kind, n.login_name, n.login_name_folded, n.employee_number, n.title, n.email,
       n.email_folded, n.phone, n.manager, n.department_id, w.works_in, b.worked_in, n.source_version,
       n.deleted_at,
       CASE WHEN NOT owner.may_tell THEN 'the user_id belongs to another user'
            WHEN n.name IS NULL THEN 'a new user needs a name' END AS problem,
       CASE WHEN NOT owner.may_tell OR n.name IS NULL THEN 'refused'
            WHEN u.user_id IS NULL THEN 'created'
            WHEN u.active AND NOT n.active THEN 'deactivated'
            WHEN (u.source, u.external_id, u.name, u.head_icon, u.active, u.kind, u.login_name, u.employee_number,
                  u.title, u.email, u.phone, u.manager, u.department_id, u.deleted_at IS NULL)
                 IS DISTINCT FROM
                 (owner.source, owner.external_id, n.name, n.head_icon, n.active, n.kind, n.login_name, n.employee_number,
                  n.title, n.email, n.phone, n.manager, n.department_id, n.deleted_at IS NULL)
                 OR NOT (w.works_in <@ b.worked_in AND b.worked_in <@ w.works_in) THEN 'updated'
            ELSE 'same' END AS action,
       u.source_version IS DISTINCT FROM n.source_version AS is_newer
FROM t_im_stage_user s
-- The user known to the source by this id; otherwise the user with this user_id.
LEFT JOIN LATERAL (
    SELECT * FROM t_im_user k WHERE k.source = s.source AND k.external_id = s.external_id
    UNION ALL
    SELECT * FROM t_im_user k WHERE k.user_id = s.user_id AND (k.source, k.external_id) <> (s.source, s.external_id)
    LIMIT 1
) AS u ON true
CROSS JOIN LATERAL (
    -- The API may write every user except those of robots. A user known only from the API passes to the source that has
    -- the user.
    SELECT u.user_id IS NULL
           OR u.source <> 'robot' AND (u.source = s.source AND u.external_id = s.external_id OR 'api' IN (u.source, s.source))
               AS may_tell,
           CASE WHEN s.source = 'api' AND u.user_id IS NOT NULL THEN u.source ELSE s.source END AS source,
           CASE WHEN s.source = 'api' AND u.user_id IS NOT NULL THEN u.external_id ELSE s.external_id END AS external_id
) AS owner
CROSS JOIN LATERAL (
    SELECT u.user_id IS NOT NULL AND s.unset <> '{}' AS keeps
) AS k
CROSS JOIN LATERAL (
    SELECT CASE WHEN k.keeps AND 'name' = ANY (s.unset) THEN u.name ELSE s.name END AS name,
           CASE WHEN k.keeps AND 'head_icon' = ANY (s.unset) THEN u.head_icon ELSE s.head_icon END AS head_icon,
           CASE WHEN k.keeps AND 'active' = ANY (s.unset) THEN u.active ELSE s.active END AS active,
           CASE WHEN k.keeps AND 'kind' = ANY (s.unset) THEN u.kind ELSE s.kind END AS kind,
           CASE WHEN k.keeps AND 'login_name' = ANY (s.unset) THEN u.login_name ELSE s.login_name END AS login_name,
           CASE WHEN k.keeps AND 'login_name' = ANY (s.unset) THEN u.login_name_folded ELSE s.login_name_folded END AS login_name_folded,
           CASE WHEN k.keeps AND 'employee_number' = ANY (s.unset) THEN u.employee_number ELSE s.employee_number END AS employee_number,
           CASE WHEN k.keeps AND 'title' = ANY (s.unset) THEN u.title ELSE s.title END AS title,
           CASE WHEN k.keeps AND 'email' = ANY (s.unset) THEN u.email ELSE s.email END AS email,
           CASE WHEN k.keeps AND 'email' = ANY (s.unset) THEN u.email_folded ELSE s.email_folded END AS email_folded,
           CASE WHEN k.keeps AND 'phone' = ANY (s.unset) THEN u.phone ELSE s.phone END AS phone,
           CASE WHEN k.keeps AND 'manager' = ANY (s.unset) THEN u.manager ELSE s.manager END AS manager,
           CASE WHEN k.keeps AND 'department_ids' = ANY (s.unset) THEN u.department_id ELSE s.department_ids[1] END AS department_id,
           CASE WHEN s.gone THEN coalesce(u.deleted_at, im_clock())
                WHEN k.keeps AND 'active' = ANY (s.unset) THEN u.deleted_at END AS deleted_at,
           coalesce(s.source_version, u.source_version) AS source_version
) AS n
CROSS JOIN LATERAL (
    SELECT CASE WHEN u.user_id IS NULL THEN '{}'
                ELSE ARRAY(SELECT d.department_id FROM t_im_department_user d WHERE d.user_id = u.user_id) END AS worked_in
    OFFSET 0
) AS b
CROSS JOIN LATERAL (
    -- Leavers have no departments. A user who comes back gets the old ones, unless the record has others.
    SELECT CASE WHEN NOT n.active THEN '{}'
                WHEN NOT (k.keeps AND 'department_ids' = ANY (s.unset)) THEN s.department_ids
                WHEN u.active THEN b.worked_in
                ELSE array_remove(ARRAY[u.department_id], NULL) END AS works_in
    OFFSET 0
) AS w;

-- The same for departments.
CREATE VIEW v_im_stage_department AS
SELECT s.run_id, s.row_no, s.department_id, d.department_id IS NULL AS is_new, n.name, n.name_folded, n.source_parent_id, n.sort_order,
       CASE WHEN d.source <> 'api' AND s.source = 'api' THEN d.source ELSE s.source END AS source,
       CASE WHEN s.gone THEN coalesce(d.removed_at, im_clock()) END AS removed_at,
       CASE WHEN may.tell IS FALSE THEN 'the department belongs to another source'
            WHEN n.name IS NULL THEN 'a new department needs a name' END AS problem,
       CASE WHEN may.tell IS FALSE OR n.name IS NULL THEN 'refused'
            WHEN d.department_id IS NULL THEN 'created'
            WHEN s.gone AND d.removed_at IS NULL THEN 'removed'
            WHEN (d.name, d.source_parent_id, d.sort_order, d.removed_at IS NULL)
                 IS DISTINCT FROM (n.name, n.source_parent_id, n.sort_order, NOT s.gone) THEN 'updated'
            ELSE 'same' END AS action
FROM t_im_stage_department s
LEFT JOIN t_im_department d USING (department_id)
CROSS JOIN LATERAL (SELECT d.source = s.source OR 'api' IN (d.source, s.source) AS tell) AS may
CROSS JOIN LATERAL (
    SELECT CASE WHEN d.department_id IS NOT NULL AND 'name' = ANY (s.unset) THEN d.name ELSE s.name END AS name,
           CASE WHEN d.department_id IS NOT NULL AND 'name' = ANY (s.unset) THEN d.name_folded ELSE s.name_folded END AS name_folded,
           CASE WHEN d.department_id IS NOT NULL AND 'parent_id' = ANY (s.unset) THEN d.source_parent_id ELSE s.source_parent_id END
               AS source_parent_id,
           CASE WHEN d.department_id IS NOT NULL AND 'sort_order' = ANY (s.unset) THEN d.sort_order ELSE s.sort_order END
               AS sort_order
) AS n;

-- Users who have left or come back, until their groups are updated.
CREATE TABLE t_im_leaver (
    user_id text COLLATE "C" PRIMARY KEY
);

-- Groups that a leaver was removed from, with the role. A user who returns in time is added to them again.
CREATE TABLE t_im_left_group (
    user_id    text COLLATE "C" NOT NULL,
    channel_id bigint NOT NULL,
    role       text NOT NULL,
    left_at    timestamptz NOT NULL,
    PRIMARY KEY (user_id, channel_id)
);
CREATE INDEX t_im_left_group_left ON t_im_left_group (left_at);

-- Numbers the API calls that stage records.
CREATE SEQUENCE im_directory_call;

-- The runs whose staging exists. A crash of the server empties it together with the staging.
CREATE UNLOGGED TABLE t_im_stage (
    run_id bigint PRIMARY KEY
);
-- Users who have left, for queries that exclude them.
CREATE INDEX t_im_user_left ON t_im_user (user_id) WHERE NOT active;
