-- Contacts: which users a user can find and see, the headcount of departments, and department groups.

-- The search words of a user are updated after a change marks them as due, by any replica, so that a sync
-- does not wait for it. Changes of presence do not mark them.
ALTER TABLE t_im_user ADD COLUMN words_due boolean NOT NULL DEFAULT true;
CREATE INDEX t_im_user_words_due ON t_im_user (user_id) WHERE words_due;
CREATE FUNCTION im_words_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words_due := true;
    RETURN NEW;
END $$;
CREATE TRIGGER t_im_user_words_due BEFORE UPDATE OF name, login_name, employee_number, email, active ON t_im_user
    FOR EACH ROW WHEN ((OLD.name, OLD.login_name, OLD.employee_number, OLD.email, OLD.active)
                       IS DISTINCT FROM (NEW.name, NEW.login_name, NEW.employee_number, NEW.email, NEW.active))
    EXECUTE FUNCTION im_words_due();

-- The search words of users: each part of their names that begins at a character, syllable or word, as
-- written, in pinyin and as initials. A search reads them in this order from the typed prefix on. Exact
-- matches come first, and it stops when a page is full.
CREATE TABLE t_im_user_word (
    word    text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (word, user_id)
);
-- The words of one user: to update them, to show a user once who matches several words, and to search among
-- few.
CREATE INDEX t_im_user_word_user ON t_im_user_word (user_id, word);

-- Departments that an external user may see, with all departments below them.
CREATE TABLE t_im_department_grant (
    user_id       text COLLATE "C" NOT NULL,
    department_id text COLLATE "C" NOT NULL,
    granted_by    text COLLATE "C" NOT NULL,
    granted_at    timestamptz NOT NULL,
    PRIMARY KEY (user_id, department_id)
);
CREATE INDEX t_im_department_grant_department ON t_im_department_grant (department_id, user_id);

-- Whether one of these departments, or an ancestor of one, is granted to a user.
CREATE FUNCTION im_granted(viewer text, department_ids text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up (department_id, parent_id) AS (
        SELECT d.department_id, d.parent_id FROM t_im_department d
        WHERE d.department_id = ANY ($2) AND d.removed_at IS NULL
          AND EXISTS (SELECT FROM t_im_department_grant WHERE user_id = $1)
        UNION
        SELECT d.department_id, d.parent_id FROM up JOIN t_im_department d ON d.department_id = up.parent_id
        WHERE d.removed_at IS NULL
    )
    SELECT EXISTS (SELECT FROM up JOIN t_im_department_grant g ON g.user_id = $1 AND g.department_id = up.department_id)
$$;

-- Whether an external user sees another user: themselves, users of shared channels, and users of granted
-- departments.
CREATE FUNCTION im_sees(viewer text, person text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1 = $2
        OR EXISTS (SELECT FROM t_im_channel_user mine
                   JOIN t_im_channel_user theirs
                     ON theirs.channel_id = mine.channel_id AND theirs.user_id = $2 AND theirs.to_seq IS NULL
                   WHERE mine.user_id = $1 AND mine.to_seq IS NULL)
        OR im_granted($1, ARRAY(SELECT department_id FROM t_im_department_user WHERE user_id = $2))
$$;

-- One level of the tree in display order; '' is the level above the top.
CREATE INDEX t_im_department_level ON t_im_department (coalesce(parent_id, ''), sort_order, name COLLATE "C", department_id)
    WHERE removed_at IS NULL;

-- The number of active internal and external users in a department and below it, each counted once. It is
-- counted after the directory has changed, in a table of its own, so that syncs do not wait for it.
CREATE TABLE t_im_department_count (
    department_id text COLLATE "C" PRIMARY KEY,
    people        integer NOT NULL
) WITH (fillfactor = 70);

-- Workers that follow the directory, and the revision each has reached.
CREATE TABLE t_im_directory_follower (
    follower text PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0
);
INSERT INTO t_im_directory_follower (follower) VALUES ('people_count');

-- The active internal and external users of a department, on request with those below it.
CREATE FUNCTION im_department_people(department_id text, below boolean) RETURNS TABLE (user_id text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE place (department_id) AS (
        SELECT $1 COLLATE "C"
        UNION
        SELECT d.department_id FROM place p JOIN t_im_department d ON d.parent_id = p.department_id
        WHERE $2 AND d.removed_at IS NULL
    )
    SELECT DISTINCT w.user_id
    FROM place p
    JOIN t_im_department_user w ON w.department_id = p.department_id
    JOIN t_im_user u ON u.user_id = w.user_id
    WHERE u.active AND u.kind <> 'application'
$$;

-- Groups whose members are the users of a department. The owner may be in another department. A row is
-- written under the channel's lock, or in the transaction that creates the channel.
CREATE TABLE t_im_department_group (
    channel_id    bigint PRIMARY KEY,
    department_id text COLLATE "C" NOT NULL,
    below         boolean NOT NULL,
    -- The members match this revision of the directory or a later one.
    revision      bigint NOT NULL,
    -- The newest update of the members that has begun. Older ones are abandoned.
    following     bigint NOT NULL,
    -- Number of users who did not fit.
    left_out      integer NOT NULL DEFAULT 0,
    CONSTRAINT department_has_one_group UNIQUE (department_id)
);
-- Groups that are behind.
CREATE INDEX t_im_department_group_revision ON t_im_department_group (revision, channel_id);
