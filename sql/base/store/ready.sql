-- Whether a message sent now could be stored, and the clock that would give it its time. A standby, or a
-- server with default_transaction_read_only, begins every transaction read-only.
SELECT current_setting('transaction_read_only') = 'off' AS writable,
       (SELECT count(*) = 2 FROM v_im_partition
        WHERE NOT pending AND im_first_ms_id(now) >= from_ms_id AND im_first_ms_id(now) < below_ms_id) AS partitions,
       now
FROM im_clock() AS now
