-- Links with which the developer of one observer looks at it, without an account of the company.
CREATE TABLE t_im_endpoint_link (
    -- SHA-256 of the secret in the link. The secret itself is not stored.
    link_hash   bytea PRIMARY KEY,
    -- The one callback that the link opens.
    callback_id text COLLATE "C" NOT NULL REFERENCES t_im_callback ON DELETE CASCADE,
    -- For administrators: who has it, or for what.
    name        text NOT NULL,
    created_by  text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    -- When a browser opened it last; null: never.
    opened_at   timestamptz,
    -- Messages of people go to these two, so no link opens them.
    CONSTRAINT endpoint_link_of_observer CHECK (callback_id NOT IN ('gateway', 'gate')),
    CONSTRAINT endpoint_link_ends CHECK (expires_at > created_at)
);
-- For the links of one callback, newest first.
CREATE INDEX t_im_endpoint_link_callback ON t_im_endpoint_link (callback_id, created_at);
-- The pruning job deletes by age.
CREATE INDEX t_im_endpoint_link_expires ON t_im_endpoint_link (expires_at);

SELECT im_lock_gently('t_im_callback, t_im_push_attempt', 'ACCESS EXCLUSIVE');

-- The events that the request of an attempt held, in order, so that its payload can be shown. Null: messages of the
-- gateway, or an attempt of an earlier version.
ALTER TABLE t_im_push_attempt ADD COLUMN event_ids bigint[];

-- When the URL or a filter of the callback last changed; null: never. What is older belongs to those whose endpoint it
-- was: no link shows it. Of earlier versions the last change of any kind is known.
ALTER TABLE t_im_callback ADD COLUMN aimed_at timestamptz;
UPDATE t_im_callback SET aimed_at = updated_at WHERE updated_at > created_at;
