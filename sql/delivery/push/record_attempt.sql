-- Records one POST and its result.
-- $1 callback id, $2 batch id, $3 attempted at, $4 duration in ms, $5 HTTP status, $6 error
-- $7 counts: pairs, received, offline, rejected, retried, unknown
-- $8 URL without parts that may be secret, $9 bytes of the request, $10 the beginning of the answer
-- $11 the oldest and the newest message of the batch, or none for events; $12 the events of the request, or null
INSERT INTO t_im_push_attempt
    (callback_id, batch_id, attempted_at, duration_ms, http_status, error,
     pairs, received, offline, rejected, retried, unknown, url, request_bytes, answer, from_ms_id, to_ms_id, event_ids)
VALUES ($1, $2, $3, $4, $5, $6,
        ($7::integer[])[1], ($7::integer[])[2], ($7::integer[])[3],
        ($7::integer[])[4], ($7::integer[])[5], ($7::integer[])[6], $8, $9, $10,
        ($11::bigint[])[1], ($11::bigint[])[2], $12::bigint[])
