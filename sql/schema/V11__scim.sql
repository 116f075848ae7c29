-- SCIM clients (Entra, Okta) push people and departments. What of a resource has no column of its own is kept as
-- the client told it; where a column says something else by now, the column holds.
ALTER TABLE t_im_user
    ADD COLUMN scim jsonb,
    -- The e-mail addresses of it, folded, by which clients find people.
    ADD COLUMN scim_emails text[];
ALTER TABLE t_im_department ADD COLUMN scim jsonb;

-- People whom SCIM shows: its own, and the API's, who become its own when it changes them. Those of other sources
-- are theirs.
CREATE INDEX t_im_user_scim ON t_im_user (user_id) WHERE source IN ('scim', 'api') AND deleted_at IS NULL;
-- What clients look them up by.
CREATE INDEX t_im_user_scim_name ON t_im_user (coalesce(login_name_folded, user_id_folded, user_id))
    WHERE source IN ('scim', 'api') AND deleted_at IS NULL;
CREATE INDEX t_im_user_scim_external ON t_im_user ((scim ->> 'externalId')) WHERE scim IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX t_im_user_scim_email ON t_im_user (email_folded) WHERE source IN ('scim', 'api') AND deleted_at IS NULL;
CREATE INDEX t_im_user_scim_emails ON t_im_user USING gin (scim_emails) WHERE scim_emails IS NOT NULL;
CREATE INDEX t_im_department_scim_name ON t_im_department (name_folded);
CREATE INDEX t_im_department_scim_external ON t_im_department ((scim ->> 'externalId')) WHERE scim IS NOT NULL;

-- Who was told to work in a department and does not yet, or not now: because nobody of that id has come, or
-- because they are not active, and whoever is not works nowhere.
CREATE TABLE t_im_scim_waiting (
    department_id text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (department_id, user_id)
);
CREATE INDEX t_im_scim_waiting_user ON t_im_scim_waiting (user_id);

-- Groups that are no departments: apart from the org tree, so that no other source's word about where somebody
-- works takes them out of one.
CREATE TABLE t_im_scim_group (
    group_id   text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    name_folded text COLLATE "C" NOT NULL,
    scim       jsonb NOT NULL,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX t_im_scim_group_name ON t_im_scim_group (name_folded);
CREATE INDEX t_im_scim_group_external ON t_im_scim_group ((scim ->> 'externalId'));

-- Nobody is referenced: a member may come later.
CREATE TABLE t_im_scim_member (
    group_id text COLLATE "C" NOT NULL REFERENCES t_im_scim_group ON DELETE CASCADE,
    user_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX t_im_scim_member_user ON t_im_scim_member (user_id);

-- What SCIM calls a Group, by what Groups are: departments or groups.
CREATE VIEW v_im_scim_group AS
SELECT 'departments' AS kind, department_id AS group_id, name, name_folded, scim, version, created_at, updated_at
FROM t_im_department
WHERE removed_at IS NULL AND source IN ('scim', 'api')
UNION ALL
SELECT 'groups', group_id, name, name_folded, scim, version, created_at, updated_at FROM t_im_scim_group;

CREATE VIEW v_im_scim_member AS
SELECT 'departments' AS kind, department_id AS group_id, user_id FROM t_im_department_user
UNION ALL
SELECT 'departments', w.department_id, w.user_id
FROM t_im_scim_waiting w
WHERE NOT EXISTS (SELECT FROM t_im_department_user d WHERE d.department_id = w.department_id AND d.user_id = w.user_id)
UNION ALL
SELECT 'groups', group_id, user_id FROM t_im_scim_member;
