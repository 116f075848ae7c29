-- An index of members. While it is built, changes of members and of their read cursors wait: the table is read once.
SELECT im_lock_gently('t_im_channel_user', 'SHARE');

-- The owner and admins of a group, who are told of requests to join.
CREATE INDEX t_im_channel_user_managers ON t_im_channel_user (channel_id, user_id) WHERE role <> 'member' AND to_seq IS NULL;
