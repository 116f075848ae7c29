-- Accounts: users who sign in to this service itself (`identity_mode = "accounts"`).

-- The account of a user, with what only they say about themselves. Cancelling an account deletes its row, so that the
-- username is free again; the user stays in t_im_user, so that history keeps the name. These users have the source
-- `account`: no other source takes them over.
CREATE TABLE t_im_account (
    user_id             text COLLATE "C" PRIMARY KEY,
    username            text NOT NULL,
    -- Without case: what a sign-in looks up.
    username_folded     text COLLATE "C" NOT NULL,
    -- What the username looks like (the skeleton of UTS #39, folded): two that look alike cannot both exist.
    username_shape      text COLLATE "C" NOT NULL,
    -- A PHC string with the parameters and the salt. Null until a one-time code sets the first password.
    password_hash       text,
    -- Beside `user`, which every account has.
    roles               text[] NOT NULL DEFAULT '{}',
    created_at          timestamptz NOT NULL,
    password_changed_at timestamptz,
    suspended_until     timestamptz,
    suspended_reason    text,
    -- SHA-256 of the one-time code that sets a new password.
    reset_hash          bytea,
    reset_expires_at    timestamptz,
    -- Written at most once in a few minutes (account_seen_every_ms).
    last_seen_at        timestamptz,
    signature           text,
    sex                 text,
    birth_year          smallint,
    region              text,
    tags                text[] NOT NULL DEFAULT '{}',
    CONSTRAINT account_username_once UNIQUE (username_folded),
    CONSTRAINT account_username_shape_once UNIQUE (username_shape),
    CONSTRAINT account_suspension_whole CHECK ((suspended_until IS NULL) = (suspended_reason IS NULL)),
    CONSTRAINT account_reset_whole CHECK ((reset_hash IS NULL) = (reset_expires_at IS NULL))
) WITH (fillfactor = 70);
-- The list of accounts by name.
CREATE INDEX t_im_account_list ON t_im_account (username_folded, user_id);
-- The administrators, of whom one stays.
CREATE INDEX t_im_account_admin ON t_im_account (user_id) WHERE 'admin' = ANY (roles);
-- Users of a region, where the setting `account_search` allows to look for them.
CREATE INDEX t_im_account_region ON t_im_account (region, user_id) WHERE region IS NOT NULL;

-- The tags of accounts once more, one a row: a page of the users with a tag is read in order, also if very many have it.
CREATE TABLE t_im_account_tag (
    tag     text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES t_im_account ON DELETE CASCADE,
    PRIMARY KEY (tag, user_id)
);
-- For the tags of one user. A hash has no order, so no plan reads all tags of all users by it.
CREATE INDEX t_im_account_tag_user ON t_im_account_tag USING hash (user_id);

-- Whether a username is the login name of another user who is suspended at their source. Users who are active have the index
-- t_im_user_login.
CREATE INDEX t_im_user_login_away ON t_im_user (login_name_folded)
    WHERE NOT active AND deleted_at IS NULL AND login_name_folded IS NOT NULL;

-- Sessions: what one sign-in began. A session is a family of refresh tokens, of which one is valid. Ending a session
-- deletes its row, and its access tokens are refused from then on.
CREATE TABLE t_im_session (
    session_id      bytea PRIMARY KEY,
    user_id         text COLLATE "C" NOT NULL REFERENCES t_im_account ON DELETE CASCADE,
    -- Derives the next refresh token from the one before, and proves which tokens are of this session. It gives no
    -- token by itself.
    chain_key       bytea NOT NULL,
    -- SHA-256 of the refresh token that is valid, and of the one before it.
    refresh_hash    bytea NOT NULL,
    previous_hash   bytea,
    -- How often the refresh token was exchanged, and the newest number whose access token was seen (-1: none yet). If it
    -- lags behind, the answer of the exchange or of the sign-in may have been lost.
    generation      integer NOT NULL,
    seen_generation integer NOT NULL,
    rotated_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    last_seen_at    timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    -- What the client calls itself, and the address of the sign-in.
    device          text,
    address         text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX t_im_session_user ON t_im_session (user_id, created_at);
CREATE INDEX t_im_session_expires ON t_im_session (expires_at);

-- Codes with which people register when `account_register = "invitation"`. The code itself is not stored.
CREATE TABLE t_im_invitation (
    invitation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code_hash     bytea NOT NULL,
    note          text,
    uses          integer NOT NULL DEFAULT 0,
    uses_max      integer NOT NULL,
    created_by    text COLLATE "C" NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    CONSTRAINT invitation_code_once UNIQUE (code_hash),
    CONSTRAINT invitation_uses_bounded CHECK (uses BETWEEN 0 AND uses_max)
);
CREATE INDEX t_im_invitation_expires ON t_im_invitation (expires_at);

-- The keys that sign access tokens, while the setting `account_keys` is empty. The newest one signs, all of them verify.
CREATE TABLE t_im_account_key (
    key_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seed       bytea NOT NULL,
    created_at timestamptz NOT NULL
);
