-- The approximate number of commits to index, and the time of the oldest message not indexed. For a new or
-- never reached archive that is the first message of the walk. Reads both ends of the queue, so the cost does
-- not depend on its length.
SELECT coalesce((SELECT max(queue_id) FROM t_im_index_queue) - (SELECT min(queue_id) FROM t_im_index_queue) + 1, 0)
           AS commits,
       least((SELECT queued_at FROM t_im_index_queue ORDER BY queue_id LIMIT 1),
             (SELECT m.server_time FROM t_im_message m
              WHERE (a.archive_id IS NULL OR a.walk_ms_id IS NOT NULL)
                AND m.ms_id >= greatest(a.walk_ms_id, h.sealed_ms_id)
              ORDER BY m.ms_id LIMIT 1)) AS oldest
FROM t_im_horizon h LEFT JOIN t_im_archive a ON true
