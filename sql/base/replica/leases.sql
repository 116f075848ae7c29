-- The work that runs on one replica at a time, and which replica does it. An older version leaves no row of its replicas.
SELECT l.name, l.epoch, l.until, r.replica_id
FROM t_im_lease l
LEFT JOIN t_im_replica r ON r.replica_id::text = split_part(l.holder, '/', 1)
ORDER BY l.name
