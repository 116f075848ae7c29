-- Turns a direct channel into a group with the same id and history. The pair is free again. Newcomers never
-- see the messages of the pair. What the two are to each other no longer matters.
-- $1 channel id, $2 the user who adds members and becomes the owner
WITH upgraded AS (
    UPDATE t_im_channel
    SET channel_type = 'group', owner = $2, pair_low = NULL, pair_high = NULL,
        sees_floor_seq = last_seq + 1
    WHERE channel_id = $1
)
UPDATE t_im_channel_user SET role = CASE user_id WHEN $2 THEN 'owner' ELSE role END, talk = NULL
WHERE channel_id = $1 AND (user_id = $2 OR talk IS NOT NULL) AND to_seq IS NULL
