-- Turns a direct channel into a group with the same id and history. The pair is free again. Newcomers never
-- see the messages of the pair.
-- $1 channel id, $2 the user who adds members and becomes the owner
WITH upgraded AS (
    UPDATE t_im_channel
    SET channel_type = 'group', owner = $2, pair_low = NULL, pair_high = NULL,
        sees_floor_seq = last_seq + 1
    WHERE channel_id = $1
)
UPDATE t_im_channel_user SET role = 'owner'
WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
