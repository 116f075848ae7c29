-- Decides each send of a batch on a snapshot taken after its channel was locked. Mints an ms_id for every new
-- send and claims its client id. The next statement of the transaction reads the ms_ids.
-- $1 channel ids, $2 senders, $3 client ids, $4 digests: one element per send, in order
-- $5 whether people must be friends for a direct message
-- $6 types: one element per send, in order
-- outcome: admitted, repeated, unknown_user, unknown_channel, dissolved, encrypted, not_encrypted, only_admins, blocked,
-- no_friends, silenced, refused (by an earlier statement), or locked (by another transaction: retry)
-- until: when the silence of the sender ends; finds_out: whether the sender does not know yet that a friendship has ended
WITH item AS MATERIALIZED (
    SELECT i.channel_id, i.sender, i.client_id, i.digest, i.ms_type, i.ord
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $6::text[])
         WITH ORDINALITY AS i (channel_id, sender, client_id, digest, ms_type, ord)
),
judged AS MATERIALIZED (
    -- A known client id is a repeat, whatever happened to its sender since.
    SELECT item.*, c.last_ms_id,
           CASE WHEN known.sender IS NOT NULL THEN 'repeated'
                WHEN c.last_ms_id IS NOT NULL AND item.channel_id <> ALL (locked.channel_ids) THEN 'locked'
                WHEN u.user_id IS NULL THEN 'unknown_user'
                WHEN m.user_id IS NULL THEN 'unknown_channel'
                WHEN c.dissolved_at IS NOT NULL THEN 'dissolved'
                -- The service itself leaves the message of a call.
                WHEN c.mls_epoch IS NOT NULL AND item.ms_type NOT IN ('mls', 'call') THEN 'encrypted'
                WHEN c.mls_epoch IS NULL AND item.ms_type = 'mls' THEN 'not_encrypted'
                WHEN c.who_sends = 'admins' AND m.role = 'member' AND u.kind <> 'application' THEN 'only_admins'
                -- Members of a group can still have it, if an earlier version has made the group of a pair.
                WHEN m.talk = 'blocked' AND c.channel_type = 'direct' THEN 'blocked'
                WHEN $5::boolean AND c.channel_type = 'direct' AND m.talk IS DISTINCT FROM 'friend' AND u.kind <> 'application'
                     -- Read only for a pair that is no pair of friends.
                     AND NOT EXISTS (SELECT FROM t_im_user other
                                     WHERE other.user_id = CASE c.pair_low WHEN item.sender THEN c.pair_high ELSE c.pair_low END
                                       AND other.kind = 'application') THEN 'no_friends'
                WHEN m.silenced_until IS NOT NULL AND m.silenced_until > im_clock() THEN 'silenced'
                WHEN item.ord = ANY (locked.refused) THEN 'refused'
                ELSE 'admitted' END AS outcome,
           m.silenced_until AS until,
           m.talk IS NOT DISTINCT FROM 'unfriended' AND c.channel_type IS NOT DISTINCT FROM 'direct' AS finds_out
    FROM item
    CROSS JOIN (SELECT coalesce(nullif(current_setting('im.locked', true), ''), '{}')::bigint[] AS channel_ids,
                       coalesce(nullif(current_setting('im.refused', true), ''), '{}')::bigint[] AS refused
                OFFSET 0) AS locked
    LEFT JOIN LATERAL (SELECT sender FROM t_im_client_id
                       WHERE sender = item.sender AND client_id = item.client_id OFFSET 0) AS known ON true
    LEFT JOIN LATERAL (SELECT user_id, kind FROM t_im_user WHERE user_id = item.sender AND active OFFSET 0) AS u ON true
    LEFT JOIN LATERAL (SELECT last_ms_id, dissolved_at, who_sends, channel_type, pair_low, pair_high, mls_epoch FROM t_im_channel
                       WHERE channel_id = item.channel_id OFFSET 0) AS c ON true
    LEFT JOIN LATERAL (SELECT user_id, role, talk, silenced_until FROM t_im_channel_user
                       WHERE channel_id = item.channel_id AND user_id = item.sender AND to_seq IS NULL OFFSET 0) AS m ON true
),
decided AS MATERIALIZED (
    -- The first admitted send of a client id claims it. Refused sends claim nothing. Later sends of the batch
    -- with the same client id are repeats.
    SELECT ord, channel_id, sender, client_id, digest, last_ms_id, until, finds_out,
           CASE WHEN outcome = 'admitted'
                 AND row_number() OVER (PARTITION BY sender, client_id, outcome ORDER BY ord) > 1 THEN 'repeated'
                ELSE outcome END AS outcome
    FROM judged
),
moment AS MATERIALIZED (
    SELECT greatest((extract(epoch FROM im_clock()) * 1000)::bigint, (sealed_ms_id >> 22) + 1) AS ms
    FROM t_im_horizon
),
drawn AS MATERIALIZED (
    SELECT ordered.*, CASE WHEN outcome = 'admitted' THEN nextval('im_ms_sequence') END AS draw
    FROM (SELECT * FROM decided ORDER BY ord) AS ordered
),
based AS (
    SELECT drawn.*, moment.ms, min(draw) OVER (PARTITION BY channel_id) AS first_draw
    FROM drawn, moment
),
minted AS MATERIALIZED (
    -- High bits: milliseconds. Low bits: the sequence. If the id is not above the channel's last id, the
    -- milliseconds are raised. A wrap of the sequence carries into the milliseconds.
    SELECT based.*,
           ((CASE WHEN (ms << 22) + (first_draw & 4194303) > last_ms_id THEN ms
                  ELSE (last_ms_id >> 22) + 1 END) << 22)
           + draw - (first_draw & ~4194303::bigint) AS ms_id
    FROM based
),
claimed AS (
    -- Sorted, so that two replicas that claim the same ids do not deadlock.
    INSERT INTO t_im_client_id (sender, client_id, ms_id, digest)
    SELECT sender, client_id, ms_id, digest FROM minted WHERE outcome = 'admitted' ORDER BY sender, client_id
    ON CONFLICT (sender, client_id) DO NOTHING
    RETURNING ms_id
),
told AS MATERIALIZED (
    SELECT ord, ms_id, until, finds_out,
           CASE WHEN outcome = 'admitted' AND ms_id NOT IN (SELECT ms_id FROM claimed) THEN 'repeated' ELSE outcome END AS outcome
    FROM minted
)
SELECT ord, outcome, ms_id, until, finds_out,
       CASE WHEN outcome = 'silenced' THEN ceil(extract(epoch FROM until - im_clock()))::bigint END AS wait_s
FROM told
CROSS JOIN (SELECT set_config('im.admitted', array_agg(CASE WHEN outcome = 'admitted' THEN ms_id END ORDER BY ord)::text, true)
            FROM told) AS noted
ORDER BY ord
