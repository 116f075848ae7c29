-- Whether a message sent now would be stored, and the clock it would be stamped by. A standby, and a server that
-- is told to only read, begin every transaction read-only.
SELECT current_setting('transaction_read_only') = 'off' AS writable,
       to_regclass('t_im_message' || day) IS NOT NULL AND to_regclass('t_im_ledger' || day) IS NOT NULL AS partitions,
       now
FROM (SELECT now, to_char(now AT TIME ZONE 'UTC', '"_p"YYYYMMDD') AS day FROM im_clock() AS now) AS today
