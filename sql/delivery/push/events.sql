-- The events of a batch, or of an attempt that was made, in order, with the type and name of their channel. Events about a new or updated message include the
-- message in its current state. Of messages that did not reach a user the observer gets those of its channels. The
-- observer of an application gets what the application may hear of now. If the application was removed, the event that
-- says so has the name of the channel at that time. Of an attempt that was made these are the events that its observer
-- takes now, and tests.
-- $1 batch id, or null; $2 attempt id, or null
SELECT e.event_id, e.type AS what, e.at, e.channel_id AS event_channel_id,
       CASE e.type
           WHEN 'message.unreceived' THEN im_unreceived_in(e.data, heard.channel_ids)
           WHEN 'card.action' THEN e.data || jsonb_build_object(
               'value', (SELECT value FROM t_im_card_action
                         WHERE ms_id = (e.data ->> 'ms_id')::bigint AND user_id = e.actor
                           AND version = (e.data ->> 'version')::bigint
                           -- An action that committed during the recall has left its value.
                           AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = (e.data ->> 'ms_id')::bigint)))
           ELSE e.data
       END AS data,
       c.channel_type,
       CASE WHEN held.owner = ANY (e.audience) THEN e.channel_name ELSE c.channel_name END AS channel_name,
       m.channel_id, m.ms_id, m.seq, m.sender, m.sender_name, m.server_time, m.ms_type, m.content, m.extra, m.recalled
FROM (SELECT DISTINCT sent.event_id, o.channel_ids, o.owner, o.event_types, o.department_ids
      FROM (SELECT callback_id, items, NULL::bigint[] AS event_ids FROM t_im_push_batch WHERE batch_id = $1
            UNION ALL
            SELECT callback_id, NULL, event_ids FROM t_im_push_attempt WHERE attempt_id = $2) AS b
      CROSS JOIN LATERAL (
          SELECT channel_ids, owner, event_types, department_ids
          FROM t_im_callback c
          WHERE callback_id = b.callback_id
            AND (owner IS NULL OR EXISTS (SELECT FROM t_im_user WHERE user_id = c.owner AND active OFFSET 0))
          OFFSET 0
      ) AS o
      CROSS JOIN LATERAL (SELECT unnest(item.event_ids) AS event_id FROM unnest(b.items) AS item
                          UNION ALL SELECT unnest(b.event_ids)) AS sent) AS held
CROSS JOIN LATERAL (SELECT * FROM t_im_event WHERE event_id = held.event_id OFFSET 0) AS e
-- The channels by which the observer gets the event, where that is to be asked.
LEFT JOIN LATERAL (
    SELECT ARRAY(
        SELECT a.channel_id
        FROM im_about(e.type, e.channel_id, e.seq, e.data) AS a
        WHERE (e.type <> 'message.unreceived' OR held.channel_ids IS NULL OR a.channel_id = ANY (held.channel_ids))
          AND (held.owner IS NULL OR held.owner = ANY (e.audience)
               OR EXISTS (SELECT FROM v_im_visible v
                          WHERE v.channel_id = a.channel_id AND v.user_id = held.owner
                            AND im_hears(a.seq, e.at, v.sees_from_seq, v.to_seq, v.joined_at) OFFSET 0))) AS channel_ids
    WHERE e.type = 'message.unreceived' OR held.owner IS NOT NULL
) AS heard ON true
LEFT JOIN LATERAL (SELECT channel_type, channel_name FROM t_im_channel WHERE channel_id = e.channel_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (
    SELECT m.channel_id, m.ms_id, m.seq, m.sender, u.name AS sender_name, m.server_time, m.ms_type,
           CASE WHEN r.ms_id IS NULL THEN m.content ELSE '{}' END AS content,
           CASE WHEN r.ms_id IS NOT NULL THEN '{}' WHEN m.extra ? 'reply_to' THEN im_shown_extra(m.extra, m.channel_id, held.owner) ELSE m.extra END AS extra, r.ms_id IS NOT NULL AS recalled
    FROM t_im_message m
    LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = m.sender OFFSET 0) AS u ON true
    LEFT JOIN LATERAL (SELECT ms_id FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
    WHERE m.ms_id = e.ms_id AND e.type IN ('message.created', 'message.updated')
    OFFSET 0
) AS m ON true
WHERE (heard.channel_ids IS NULL OR heard.channel_ids <> '{}')
  -- As in replay_events.sql.
  AND ($2::bigint IS NULL OR e.type = 'callback.test'
       OR im_takes(held.event_types, e.type)
          AND (held.channel_ids IS NULL
               OR held.channel_ids && coalesce(heard.channel_ids, im_channels_of(e.type, e.channel_id, e.data)))
          AND (held.department_ids IS NULL OR EXISTS (
                  WITH RECURSIVE up (department_id) AS (
                      SELECT department_id FROM t_im_user WHERE user_id = e.actor AND department_id IS NOT NULL
                      UNION
                      SELECT d.parent_id FROM up JOIN t_im_department d USING (department_id) WHERE d.parent_id IS NOT NULL
                  )
                  SELECT FROM up WHERE department_id = ANY (held.department_ids))))
ORDER BY e.event_id
