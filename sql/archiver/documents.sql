-- The next sealed messages with everything the archive keeps of them: every receiver's last status
-- in id order, with its time. Written again after a crash, they
-- must be the same: what was taken back before the seal is empty here, later recalls do not count yet.
-- $1 above this ms_id, $2 below this one, $3 most messages, $4 most ledger rows, if it is more than one message
WITH bound AS MATERIALIZED (
    -- Before the message whose ledger row would be one too many; but the first one always goes.
    SELECT greatest(
        (SELECT ms_id + 1 FROM t_im_message WHERE ms_id > $1 AND ms_id < $2 ORDER BY ms_id LIMIT 1),
        coalesce((SELECT ms_id FROM t_im_message_push WHERE ms_id > $1 AND ms_id < $2
                  ORDER BY ms_id, receiver OFFSET $4::bigint LIMIT 1), $2)) AS below_ms_id
),
page AS MATERIALIZED (
    SELECT * FROM t_im_message
    WHERE ms_id > $1 AND ms_id < (SELECT below_ms_id FROM bound)
    ORDER BY ms_id
    LIMIT $3::integer
)
SELECT page.ms_id, page.channel_id, page.seq, page.server_time, page.sender, page.sender_count, page.ms_type,
       page.content, r.recalled_by, r.recalled_at,
       ledger.*
FROM page
LEFT JOIN LATERAL (
    SELECT recalled_by, recalled_at FROM t_im_recall
    WHERE ms_id = page.ms_id AND page.content = '{}' OFFSET 0) AS r ON true
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(receiver), '{}') AS receivers, coalesce(array_agg(status), '{}') AS statuses,
           coalesce(array_agg(coalesce(verdict, 0::smallint)), '{}') AS verdicts,
           coalesce(array_agg(at), '{}') AS times,
           CASE WHEN bool_or(verdict_reason IS NOT NULL) THEN array_agg(verdict_reason) END AS reasons
    FROM (SELECT receiver, status, verdict, verdict_reason, last_modified_time AS at
          FROM t_im_message_push WHERE ms_id = page.ms_id ORDER BY receiver) AS l
) AS ledger
ORDER BY page.ms_id
