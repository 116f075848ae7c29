-- Counts what waits for the background workers.
SELECT (SELECT count(*) FROM t_im_receipt_pending) AS receipts,
       (SELECT count(*) FROM t_im_read) AS reads
