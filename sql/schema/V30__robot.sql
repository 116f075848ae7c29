-- Robots: addresses at which programs send to a group, with the bodies that robots of DingTalk and WeCom take. A robot is an
-- application user and a member of its group, so it sends as any member does. It receives nothing: its bit among the
-- members is never set.
CREATE TABLE t_im_robot (
    robot_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL UNIQUE,
    -- Whether a call must prove the secret.
    must_sign  boolean NOT NULL,
    -- The SHA-256 of the token in the address.
    token_hash bytea NOT NULL UNIQUE,
    -- The secret is derived from the token and the salt. So this table gives neither, and an address does not give the secret.
    salt       bytea NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    rotated_at timestamptz,
    -- The times of the last messages, newest first, as many as a minute allows. It is in no index, so that updates stay HOT.
    sent_at    timestamptz[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
CREATE INDEX t_im_robot_channel ON t_im_robot (channel_id);

-- Whether a user sees an application. The user of a robot has the source `robot`: the members of its group see it, also
-- after it was removed, and no other user does. All users see other applications. Without a user: whether a machine does.
CREATE FUNCTION im_sees_application(viewer text, application text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1 IS NULL
        OR NOT EXISTS (SELECT FROM t_im_user WHERE user_id = $2 AND source = 'robot')
        OR EXISTS (SELECT FROM t_im_channel_user theirs
                   JOIN t_im_channel_user mine
                     ON mine.channel_id = theirs.channel_id AND mine.user_id = $1 AND mine.to_seq IS NULL
                   WHERE theirs.user_id = $2)
$$;

-- The digits of a phone number.
CREATE FUNCTION im_digits(phone text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace($1, '[^0-9]', '', 'g')
$$;
-- People by the end of their phone number, for mentions by phone: a robot's body may lack the country code, or have it.
CREATE INDEX t_im_user_phone ON t_im_user (right(im_digits(phone), 8), user_id) WHERE active AND phone IS NOT NULL;
