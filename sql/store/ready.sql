-- Whether a message sent now would be stored, and the clock it would be stamped by. A standby, and a server that
-- is told to only read, begin every transaction read-only.
SELECT current_setting('transaction_read_only') = 'off' AS writable,
       (SELECT count(*) = 2 FROM v_im_partition
        WHERE NOT pending AND im_first_ms_id(now) >= from_ms_id AND im_first_ms_id(now) < below_ms_id) AS partitions,
       now
FROM im_clock() AS now
