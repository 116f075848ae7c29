-- Key packages of MLS (RFC 9420): what another client needs to add a device of the user to an encrypted group. The service
-- does not read them.
CREATE TABLE t_im_key_package (
    package_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     text COLLATE "C" NOT NULL,
    -- Empty: the user has not named the device.
    device_id   text COLLATE "C" NOT NULL,
    -- The last resort of a device is given out again and again, when no other is left.
    last_resort boolean NOT NULL,
    -- Given out. It stays until it expires, so that a repeat of the call that added it does not add it again.
    taken       boolean NOT NULL DEFAULT false,
    package     bytea NOT NULL,
    expires_at  timestamptz NOT NULL
);

-- A claim takes the oldest of a device.
CREATE INDEX t_im_key_package_device ON t_im_key_package (user_id, device_id, package_id);
-- A device has one last resort.
CREATE UNIQUE INDEX t_im_key_package_last_resort ON t_im_key_package (user_id, device_id) WHERE last_resort;
-- A package that is sent twice is kept once.
CREATE UNIQUE INDEX t_im_key_package_once ON t_im_key_package (user_id, sha256(package)) WHERE NOT last_resort;
-- Housekeeping looks for the expired ones.
CREATE INDEX t_im_key_package_expired ON t_im_key_package (expires_at);

-- How often a user has claimed packages of another one since the start of an hour, so that no user takes all of them.
CREATE TABLE t_im_key_package_claim (
    claimer text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    hour    timestamptz NOT NULL,
    claims  integer NOT NULL,
    PRIMARY KEY (claimer, user_id)
);
-- Housekeeping looks for the hours that have ended.
CREATE INDEX t_im_key_package_claim_hour ON t_im_key_package_claim (hour);

-- The packages of a user who leaves go in the same transaction, in each way that a user can leave.
CREATE FUNCTION im_remove_key_packages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM t_im_key_package WHERE user_id = OLD.user_id;
    RETURN NULL;
END
$$;

SELECT im_lock_gently('t_im_user', 'SHARE ROW EXCLUSIVE');

CREATE TRIGGER t_im_user_key_packages AFTER UPDATE OF active ON t_im_user
    FOR EACH ROW WHEN (OLD.active AND NOT NEW.active) EXECUTE FUNCTION im_remove_key_packages();
