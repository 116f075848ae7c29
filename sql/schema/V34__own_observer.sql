-- Observers that an application has made for itself. They hear of the channels that the application is in.
ALTER TABLE t_im_callback
    -- The application; null: made by an administrator. It never changes.
    ADD COLUMN owner text COLLATE "C",
    ADD CONSTRAINT callback_owner_of_observer CHECK (owner IS NULL OR kind = 'observer');

-- Whether the observer of an application hears of an event about these channels. Of a message it hears if it was a
-- member then, of its recall or update if it sees the message; of a channel if it is a member, and was one then. Those
-- who were just removed are in the audience.
CREATE FUNCTION im_owner_hears(owner text, type text, channel_ids bigint[], seq bigint, audience text[], at timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce($1 = ANY ($5), false) OR EXISTS (
        SELECT FROM t_im_channel_user m
        WHERE m.user_id = $1 AND m.channel_id = ANY ($3)
          AND CASE WHEN $4 IS NULL THEN m.to_seq IS NULL AND m.joined_at <= $6
                   ELSE $4 >= CASE WHEN $2 IN ('message.recalled', 'message.updated') THEN m.sees_from_seq ELSE m.from_seq END
                        AND (m.to_seq IS NULL OR $4 <= m.to_seq) END)
$$;
