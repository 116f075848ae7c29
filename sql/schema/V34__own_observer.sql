-- Observers that an application has made for itself. They hear of the channels that the application is in.
ALTER TABLE t_im_callback
    -- The application; null: made by an administrator. It never changes.
    ADD COLUMN owner text COLLATE "C",
    ADD CONSTRAINT callback_owner_of_observer CHECK (owner IS NULL OR kind = 'observer');

-- The observers of an application.
CREATE INDEX t_im_callback_owner ON t_im_callback (owner) WHERE owner IS NOT NULL;

-- The observers of applications for which events are queued: not those of an application that has left.
CREATE VIEW v_im_own_observer AS
SELECT callback_id, owner, event_types, channel_ids, department_ids, batch_events
FROM t_im_callback c
WHERE owner IS NOT NULL AND state <> 'disabled'
  AND EXISTS (SELECT FROM t_im_user u WHERE u.user_id = c.owner AND u.active OFFSET 0);

-- Whether a member hears of an event, by one row of v_im_visible: of a message, if the history shows it the message; of
-- the channel, since it has joined. (One expression, so that the planner puts it into the statement.)
CREATE FUNCTION im_hears(seq bigint, at timestamptz, sees_from_seq bigint, to_seq bigint, joined_at timestamptz)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 IS NULL THEN $4 IS NULL AND $5 <= $2 ELSE $1 >= $3 AND ($4 IS NULL OR $1 <= $4) END
$$;
