-- A direct channel becomes a group of the same id and history; its pair is free again. What the two have said
-- stays between them.
-- $1 channel id, $2 the adder, who owns it from now on
WITH upgraded AS (
    UPDATE t_im_channel
    SET channel_type = 'group', owner = $2, pair_low = NULL, pair_high = NULL,
        sees_floor_seq = last_seq + 1
    WHERE channel_id = $1
)
UPDATE t_im_channel_user SET role = 'owner'
WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
