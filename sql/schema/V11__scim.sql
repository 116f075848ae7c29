-- SCIM clients (Entra, Okta) push users and departments. The document of the client keeps what has no column.
-- Where a column has another value, the column wins.
ALTER TABLE t_im_user
    ADD COLUMN scim jsonb,
    -- The folded e-mail addresses of the document. Clients search by them.
    ADD COLUMN scim_emails text[];
ALTER TABLE t_im_department ADD COLUMN scim jsonb;

-- The users that SCIM shows: its own, and users of the API, which become its own when it changes them. It
-- does not show users of other sources.
CREATE INDEX t_im_user_scim ON t_im_user (user_id) WHERE source IN ('scim', 'api') AND deleted_at IS NULL;
-- Indexes for lookups by clients.
CREATE INDEX t_im_user_scim_name ON t_im_user (coalesce(login_name_folded, user_id_folded, user_id))
    WHERE source IN ('scim', 'api') AND deleted_at IS NULL;
CREATE INDEX t_im_user_scim_external ON t_im_user ((scim ->> 'externalId')) WHERE scim IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX t_im_user_scim_email ON t_im_user (email_folded) WHERE source IN ('scim', 'api') AND deleted_at IS NULL;
CREATE INDEX t_im_user_scim_emails ON t_im_user USING gin (scim_emails) WHERE scim_emails IS NOT NULL;
CREATE INDEX t_im_department_scim_name ON t_im_department (name_folded);
CREATE INDEX t_im_department_scim_external ON t_im_department ((scim ->> 'externalId')) WHERE scim IS NOT NULL;

-- Memberships of users who cannot work in the department now. No user has the id yet, or the user is
-- inactive, and inactive users work nowhere.
CREATE TABLE t_im_scim_waiting (
    department_id text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (department_id, user_id)
);
CREATE INDEX t_im_scim_waiting_user ON t_im_scim_waiting (user_id);

-- Groups that are not departments. They are outside the tree, so other sources cannot remove users from them.
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

-- No foreign key to users, because a member can come later.
CREATE TABLE t_im_scim_member (
    group_id text COLLATE "C" NOT NULL REFERENCES t_im_scim_group ON DELETE CASCADE,
    user_id  text COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX t_im_scim_member_user ON t_im_scim_member (user_id);

-- Groups as SCIM shows them. `kind` says whether they are departments or groups.
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
