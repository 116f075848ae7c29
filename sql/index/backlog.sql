-- What waits to be indexed, and since when.
SELECT (SELECT count(*) FROM t_im_index_queue) AS commits,
       (SELECT queued_at FROM t_im_index_queue ORDER BY queue_id LIMIT 1) AS oldest,
       (SELECT walk_ms_id IS NOT NULL FROM t_im_archive) AS walking
