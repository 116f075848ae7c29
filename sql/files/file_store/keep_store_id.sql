-- Gives this database a store id, unless it has one.
-- $1 store id, $2 when the first comparison is due
INSERT INTO t_im_file_store (store_id, due_at) VALUES ($1, $2) ON CONFLICT (only_row) DO NOTHING
