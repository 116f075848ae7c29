-- About how many commits wait to be indexed, and since when the oldest message does; for an archive that
-- is new or was never reached, that is the first of those it has not been walked through. Looks at both ends
-- of the queue, so that it costs as much whatever its length.
SELECT coalesce((SELECT max(queue_id) FROM t_im_index_queue) - (SELECT min(queue_id) FROM t_im_index_queue) + 1, 0)
           AS commits,
       least((SELECT queued_at FROM t_im_index_queue ORDER BY queue_id LIMIT 1),
             (SELECT m.server_time FROM t_im_message m
              WHERE (a.archive_id IS NULL OR a.walk_ms_id IS NOT NULL)
                AND m.ms_id >= greatest(a.walk_ms_id, h.sealed_ms_id)
              ORDER BY m.ms_id LIMIT 1)) AS oldest
FROM t_im_horizon h LEFT JOIN t_im_archive a ON true
