-- The users of a batch by channel: their slots, and whether they have left the company. The few users who have left
-- are looked up one by one, also by a plan made while there were none. A user may occur twice.
-- $1 batch id
WITH item AS MATERIALIZED (
    SELECT item.channel_id, item.from_slot, item.to_slot, item.receivers
    FROM t_im_push_batch b CROSS JOIN LATERAL unnest(b.items) AS item
    WHERE b.batch_id = $1
)
SELECT channel_id, array_agg(slot) AS slots, array_agg(user_id) AS user_ids,
       array_agg(EXISTS (SELECT FROM t_im_user u WHERE u.user_id = slot.user_id AND NOT u.active)) AS have_left
FROM (
    SELECT s.*
    FROM (SELECT channel_id, min(coalesce(from_slot, 0)) AS low, max(coalesce(to_slot, 2147483647)) AS high
          FROM item WHERE receivers IS NULL
          GROUP BY channel_id) AS q
    CROSS JOIN LATERAL (
        SELECT channel_id, slot, user_id FROM t_im_channel_slot
        WHERE channel_id = q.channel_id AND slot BETWEEN q.low AND q.high
        OFFSET 0
    ) AS s
    UNION ALL
    SELECT s.*
    FROM (SELECT DISTINCT channel_id, unnest(receivers) AS user_id FROM item) AS q
    CROSS JOIN LATERAL (
        SELECT channel_id, slot, user_id FROM t_im_channel_slot WHERE channel_id = q.channel_id AND user_id = q.user_id
        OFFSET 0
    ) AS s
) AS slot
GROUP BY channel_id
