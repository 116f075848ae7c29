-- Indexes of channels. While they are built, sends wait: the table is read once.
SELECT im_lock_gently('t_im_channel', 'SHARE');

-- The groups that a search reads, newest first.
CREATE INDEX t_im_channel_findable ON t_im_channel (channel_id)
    WHERE (findable OR join_rule <> 'closed') AND dissolved_at IS NULL;

-- Groups by owner: those without one, and those whose owner has left. Messages change none of these columns, so updates of
-- a channel stay HOT.
CREATE INDEX t_im_channel_owner ON t_im_channel (owner, channel_id) WHERE channel_type = 'group' AND dissolved_at IS NULL;
