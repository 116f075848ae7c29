-- The clock that gives messages their time. It is one function, so that a test can move it (ALTER DATABASE …
-- SET impg.clock_offset = '31 days') without changing the host.
CREATE FUNCTION im_clock() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT clock_timestamp()
         + coalesce(nullif(current_setting('impg.clock_offset', true), ''), '0')::interval
$$;

-- Whether a time was recorded before the clock stepped back. Such a time does not count; otherwise waiting
-- work would wait until the clock reaches it again. (Replicas write a time shortly after they read the clock;
-- a minute is longer than that.)
CREATE FUNCTION im_stepped_back(set_at timestamptz, now timestamptz) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT set_at > now + interval '1 minute'
$$;

-- The low 22 bits of an ms_id. Never cached per session: values must rise across sessions.
CREATE SEQUENCE im_ms_sequence;

-- First ms_id of a time: the bounds of daily partitions and of time filters.
CREATE FUNCTION im_first_ms_id(moment timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM moment) * 1000)::bigint << 22
$$;

-- The time an ms_id was minted at, to the millisecond.
CREATE FUNCTION im_minted_at(ms_id bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_timestamp((ms_id >> 22) / 1000.0)
$$;

-- Departments from the directory. A parent is missing only at the root.
CREATE TABLE t_im_department (
    department_id text COLLATE "C" PRIMARY KEY,
    parent_id     text COLLATE "C" REFERENCES t_im_department,
    name          text NOT NULL,
    CONSTRAINT department_not_own_parent CHECK (parent_id <> department_id)
);
CREATE INDEX t_im_department_parent ON t_im_department (parent_id);

-- Users: people and applications. user_id never changes; the gateway, pushes and receipts use it. Leavers are
-- deactivated, never deleted, so that history keeps their names.
CREATE TABLE t_im_user (
    user_id       text COLLATE "C" PRIMARY KEY,
    status        text NOT NULL DEFAULT 'offline',
    name          text NOT NULL,
    head_icon     text,
    kind          text NOT NULL DEFAULT 'internal',
    active        boolean NOT NULL DEFAULT true,
    department_id text COLLATE "C" REFERENCES t_im_department,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT user_status_known CHECK (status IN ('online', 'offline')),
    CONSTRAINT user_kind_known CHECK (kind IN ('internal', 'external', 'application'))
);
CREATE INDEX t_im_user_department ON t_im_user (department_id);

-- The service's own bearer tokens for machines. Only the SHA-256 of a 256-bit random secret is stored: a
-- stolen table gives no access, and a lookup is one index probe.
CREATE TABLE t_im_token (
    token_hash bytea PRIMARY KEY,
    name       text NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    roles      text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Pictures that text may name as [:emoji_id:].
CREATE TABLE t_im_emoji (
    emoji_id text COLLATE "C" PRIMARY KEY,
    address  text NOT NULL
);
