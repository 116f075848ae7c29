-- Whether the role of this connection owns the partitioned tables, and so may detach and drop partitions.
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 't_im_message'::regclass
