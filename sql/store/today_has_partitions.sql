-- Whether a message sent now would find its partitions.
SELECT to_regclass('t_im_message' || day) IS NOT NULL AND to_regclass('t_im_message_push' || day) IS NOT NULL
FROM (SELECT to_char(im_clock() AT TIME ZONE 'UTC', '"_p"YYYYMMDD') AS day) AS today
