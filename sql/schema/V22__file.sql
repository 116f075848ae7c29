-- Files that users upload. The content of a file lies in pieces: objects of the file store, each with a row in
-- t_im_file_object. The row is committed before the object is written. So a crash leaves no object without a row.
CREATE TABLE t_im_file (
    file_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The user who uploaded it.
    owner         text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    -- The number of bytes that the uploader declared. A file that is ready has exactly as many.
    size          bigint NOT NULL,
    -- Upload-Metadata as the uploader sent it. tus gives it back.
    metadata      text,
    state         text NOT NULL DEFAULT 'uploading',
    -- The number of bytes that are stored so far.
    stored        bigint NOT NULL DEFAULT 0,
    -- The state of SHA-256 after the first `hashed` bytes. The piece behind them is short: the next bytes replace it.
    hashed        bigint NOT NULL DEFAULT 0,
    hash_state    bytea,
    -- The SHA-256 that the uploader announced, and that of the content.
    wanted_sha256 bytea,
    sha256        bytea,
    -- Found in the content. The uploader's own words do not count.
    media_type    text,
    -- The size of a picture in pixels. Null for other files.
    width         integer,
    height        integer,
    created_at    timestamptz NOT NULL,
    -- When the file is removed. Null: a message holds it.
    expires_at    timestamptz,
    -- Whether a message holds it or has held it.
    used          boolean NOT NULL DEFAULT false,
    -- The lock of the request that writes. Each request raises the epoch; one with an older epoch writes nothing more.
    epoch         bigint NOT NULL DEFAULT 0,
    locked_until  timestamptz,
    -- How often its end was checked. Uploads whose checks fail again and again do not hold up others.
    checks        integer NOT NULL DEFAULT 0,
    CONSTRAINT file_state_known CHECK (state IN ('uploading', 'ready')),
    CONSTRAINT file_stored_in_size CHECK (0 <= hashed AND hashed <= stored AND stored <= size),
    CONSTRAINT file_ready_is_whole CHECK (state = 'uploading' OR (stored = size AND sha256 IS NOT NULL AND media_type IS NOT NULL))
) WITH (fillfactor = 70);
-- A user's files, and how much room they take.
CREATE INDEX t_im_file_owner ON t_im_file (owner, file_id) INCLUDE (size);
CREATE INDEX t_im_file_expiry ON t_im_file (expires_at) WHERE expires_at IS NOT NULL;
-- Uploads whose last request ended between the last byte and the end of the checks.
CREATE INDEX t_im_file_whole ON t_im_file (checks, file_id) WHERE state = 'uploading' AND stored = size;

-- Objects of the file store. There is no foreign key: the rows of a removed file stay until its objects are gone.
CREATE TABLE t_im_file_object (
    object_id  uuid PRIMARY KEY,
    file_id    bigint NOT NULL,
    -- original: a piece of the content as uploaded. preview, thumbnail: a smaller picture.
    form       text NOT NULL DEFAULT 'original',
    from_byte  bigint NOT NULL DEFAULT 0,
    bytes      bigint NOT NULL DEFAULT 0,
    -- Of a smaller picture.
    media_type text,
    -- When the object is removed. Null: it is part of its file. A row that is committed ahead of its object has a time,
    -- too, so that an object that no file took is removed.
    drop_after timestamptz,
    CONSTRAINT file_form_known CHECK (form IN ('original', 'preview', 'thumbnail'))
);
CREATE INDEX t_im_file_object_file ON t_im_file_object (file_id, form, from_byte) WHERE drop_after IS NULL;
CREATE INDEX t_im_file_object_drop ON t_im_file_object (drop_after) WHERE drop_after IS NOT NULL;

-- The messages that hold a file. Readers of such a message can read the file, hot and cold. A recall deletes the row.
CREATE TABLE t_im_file_use (
    file_id    bigint NOT NULL REFERENCES t_im_file,
    ms_id      bigint NOT NULL,
    channel_id bigint NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (file_id, ms_id)
);
-- The file of a recalled message.
CREATE INDEX t_im_file_use_message ON t_im_file_use (ms_id);
-- Whether a file was sent in a channel, in the part that a user sees. A popular file is in 100,000 messages.
CREATE INDEX t_im_file_use_channel ON t_im_file_use (file_id, channel_id, seq);

-- The store that holds the objects of this database, and how far the comparison of both has come.
CREATE TABLE t_im_file_store (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store_id uuid NOT NULL,
    -- Whether the store has the id. The row comes first, so that a crash leaves no store with an id that is not known.
    is_marked boolean NOT NULL DEFAULT false,
    -- The next part of the store to compare: the first byte of its objects' ids.
    shard    integer NOT NULL DEFAULT 0,
    -- When the comparison of the next part is due.
    due_at   timestamptz NOT NULL
);

-- The smaller pictures of a file: thumbnail, preview.
CREATE FUNCTION im_file_forms(file_id bigint) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT o.form), '{}') FROM t_im_file_object o
    WHERE o.file_id = $1 AND o.form <> 'original' AND o.drop_after IS NULL
$$;
