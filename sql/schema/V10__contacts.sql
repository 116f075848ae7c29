-- Contacts: whom somebody can find and see, how many people a department has, and groups that follow one.

-- What a person is found by is put down after the change that made it due, by whichever replica comes to it,
-- so that a sync does not wait for it. Presence changes none of it and fires nothing.
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

-- What a person is found by the beginning of: each part of their names that begins at a character, a syllable
-- or a word, as it is written, in pinyin and by initials. In this order a search reads from what was typed
-- on: the exact ones come first, and it stops when a page is full.
CREATE TABLE t_im_user_word (
    word    text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (word, user_id)
);
-- One person's: to bring them up to date, to show somebody once who is found by several, and to search among few.
CREATE INDEX t_im_user_word_user ON t_im_user_word (user_id, word);

-- Departments that an external person may see, with all that lies below them.
CREATE TABLE t_im_department_grant (
    user_id       text COLLATE "C" NOT NULL,
    department_id text COLLATE "C" NOT NULL,
    granted_by    text COLLATE "C" NOT NULL,
    granted_at    timestamptz NOT NULL,
    PRIMARY KEY (user_id, department_id)
);
CREATE INDEX t_im_department_grant_department ON t_im_department_grant (department_id, user_id);

-- Whether one of these departments, or one above it, is granted to somebody.
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

-- Whether an external person sees another: themselves, whom they share a channel with, and who works in a
-- department that was granted to them.
CREATE FUNCTION im_sees(viewer text, person text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1 = $2
        OR EXISTS (SELECT FROM t_im_channel_user mine
                   JOIN t_im_channel_user theirs
                     ON theirs.channel_id = mine.channel_id AND theirs.user_id = $2 AND theirs.to_seq IS NULL
                   WHERE mine.user_id = $1 AND mine.to_seq IS NULL)
        OR im_granted($1, ARRAY(SELECT department_id FROM t_im_department_user WHERE user_id = $2))
$$;

-- One level of the tree, in the order it is shown in; '' is above the top.
CREATE INDEX t_im_department_level ON t_im_department (coalesce(parent_id, ''), sort_order, name COLLATE "C", department_id)
    WHERE removed_at IS NULL;

-- How many active internal and external people work in a department or below it, each once. Counted again
-- after the directory has changed, and apart from the departments, which a sync is not to wait for.
CREATE TABLE t_im_department_count (
    department_id text COLLATE "C" PRIMARY KEY,
    people        integer NOT NULL
) WITH (fillfactor = 70);

-- How far those have come who follow the directory as a whole: the revision they have worked up.
CREATE TABLE t_im_directory_follower (
    follower text PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0
);
INSERT INTO t_im_directory_follower (follower) VALUES ('people_count');

-- Who belongs to a department: its active internal and external people, and if asked those below it.
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

-- Groups whose members are a department's people; their owner may work elsewhere. Whoever writes a row here
-- holds the channel's lock, or has just made the channel.
CREATE TABLE t_im_department_group (
    channel_id    bigint PRIMARY KEY,
    department_id text COLLATE "C" NOT NULL,
    below         boolean NOT NULL,
    -- The members are those of this revision of the directory or a later one.
    revision      bigint NOT NULL,
    -- The newest comparison that anybody has begun to carry out: older ones are not carried on.
    following     bigint NOT NULL,
    -- How many people did not fit.
    left_out      integer NOT NULL DEFAULT 0,
    CONSTRAINT department_has_one_group UNIQUE (department_id)
);
-- Those that are behind.
CREATE INDEX t_im_department_group_revision ON t_im_department_group (revision, channel_id);
