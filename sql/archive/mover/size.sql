-- Counts the messages and receivers in a range of hot messages.
-- $1 from this ms_id, $2 below this one
SELECT (SELECT count(*) FROM t_im_message WHERE ms_id >= $1 AND ms_id < $2) AS messages,
       (SELECT coalesce(sum(bit_count(receivers)), 0)::bigint FROM t_im_ledger WHERE ms_id >= $1 AND ms_id < $2) AS ledger_rows
