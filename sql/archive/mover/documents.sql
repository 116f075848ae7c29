-- The next sealed messages, each with its ledger blocks, as the archive stores them.
-- A repeat after a crash must give the same rows: content recalled before the seal is empty, later recalls
-- are not applied yet.
-- $1 above this ms_id, $2 below this one, $3 most messages, $4 most receivers, unless the page is one message
WITH page AS MATERIALIZED (
    SELECT m.*, ledger.*,
           sum(ledger.count) OVER (ORDER BY m.ms_id) AS receivers_so_far, row_number() OVER (ORDER BY m.ms_id) AS place
    FROM (SELECT * FROM t_im_message WHERE ms_id > $1 AND ms_id < $2 ORDER BY ms_id LIMIT $3::integer) AS m
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(bit_count(receivers)), 0) AS count,
               array_agg(block) AS blocks, array_agg(receivers) AS receivers, array_agg(received) AS received,
               array_agg(read) AS read, array_agg(offline) AS offline, array_agg(rejected) AS rejected,
               array_agg(changed_at) AS changed_at, array_agg(times) AS times, array_agg(reasons) AS reasons
        FROM (SELECT * FROM t_im_ledger WHERE ms_id = m.ms_id ORDER BY block) AS l
    ) AS ledger
)
SELECT page.ms_id, page.channel_id, page.seq, page.server_time, page.sender, page.sender_count, page.ms_type,
       page.content, page.extra, r.recalled_by, r.recalled_at,
       page.blocks, page.receivers, page.received, page.read, page.offline, page.rejected, page.changed_at, page.times, page.reasons
FROM page
LEFT JOIN LATERAL (
    SELECT recalled_by, recalled_at FROM t_im_recall
    WHERE ms_id = page.ms_id AND page.content = '{}' OFFSET 0) AS r ON true
WHERE page.place = 1 OR page.receivers_so_far <= $4::bigint
ORDER BY page.ms_id
