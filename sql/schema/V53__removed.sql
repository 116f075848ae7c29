-- Users that the owner or an admin has removed from a group. A code does not let them in again, nor does an open group. The
-- note goes when a member adds the user, or an admin agrees to a request.
CREATE TABLE t_im_removed (
    channel_id bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);
