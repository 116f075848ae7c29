-- Plans objects: they are known before they are written.
-- $1 file id, $2 object ids, $3 until when they are planned
INSERT INTO t_im_file_object (object_id, file_id, drop_after) SELECT object_id, $1, $3 FROM unnest($2::uuid[]) AS object_id
