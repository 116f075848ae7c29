//! (d) The conversation list of somebody in 1,000 channels, over a month of messages.

use std::time::{Duration, Instant};

use super::http::Request;
use super::load::{Load, closed};
use super::report::{Figure, Report, spread};
use super::world::World;

const CHANNELS: i32 = 1_000;
const MESSAGES: i32 = 1_000_000;
const DAYS: i32 = 32;
const CALLS: usize = 400;
const P99_TARGET_MS: f64 = 10.0;
const LIMIT: i64 = 50;
const FOREVER: Duration = Duration::from_secs(60);

/// A page of the list as one would write it by hand: newest first, the name taken from the channel.
const PAGE: &str = "SELECT c.channel_id, c.channel_name, c.picture, c.last_seq, c.last_seq - m.read_seq AS unread, \
            c.last_server_time, c.last_sender, c.last_type, c.last_preview, u.name \
     FROM t_im_channel_user m JOIN t_im_channel c USING (channel_id) LEFT JOIN t_im_user u ON u.user_id = c.last_sender \
     WHERE m.user_id = $1 AND m.to_seq IS NULL \
     ORDER BY c.last_seq > m.read_seq DESC, c.last_server_time DESC LIMIT $2";

pub async fn measure(world: &World<'_>, report: &mut Report) {
    seed(world).await;
    let me = "u0000001";
    let work = vec![vec![Request::get(&format!("/conversations?limit={LIMIT}"), me)]];
    let mut load = closed(world.address(), work, FOREVER, CALLS).await.or_panic("conversation lists");
    let client = world.session().await;
    let statement = client.prepare(PAGE).await.expect("hand-made SQL");
    let mut raw = Load::default();
    for _ in 0..CALLS {
        let begun = Instant::now();
        client.query(&statement, &[&me, &LIMIT]).await.expect("hand-made SQL");
        raw.latencies.push(begun.elapsed());
    }
    let (p99, raw_p99) = (load.percentile(0.99), raw.percentile(0.99));
    report.add(
        Figure::new("(d) conversation list, 1,000 channels", spread(&mut load))
            .beside(spread(&mut raw), raw_p99 / p99)
            .target(format!("p99 < {P99_TARGET_MS} ms"), p99 < P99_TARGET_MS),
    );
}

/// Half of the channels are direct and half are groups of 20; messages are spread evenly over
/// channels and days, and the reader has read half of each channel. Ledger rows are left out: the
/// list does not touch them.
async fn seed(world: &World<'_>) {
    world.people(CHANNELS + 100).await;
    let content = super::world::CONTENT;
    let seed = format!(
        "SELECT im_make_partitions((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(0, {DAYS} - 1) AS n; \
         CREATE TEMP TABLE made AS \
         WITH made AS (INSERT INTO t_im_channel (channel_type, channel_name, creator, pair_low, pair_high, create_time, \
                           member_count, last_seq, last_ms_id, last_server_time, last_sender, last_type, last_preview) \
             SELECT CASE WHEN direct THEN 'direct' ELSE 'group' END, CASE WHEN n % 4 = 1 THEN 'Group ' || n END, 'u0000001', \
                    CASE WHEN direct THEN 'u0000001' END, CASE WHEN direct THEN other END, now() - interval '{DAYS} days', \
                    CASE WHEN direct THEN 2 ELSE 20 END, {MESSAGES} / {CHANNELS}, \
                    im_first_ms_id(now() - n * interval '1 minute'), now() - n * interval '1 minute', other, 'text', '{content}' \
             FROM (SELECT n, n % 2 = 0 AS direct, 'u' || lpad((n + 1)::text, 7, '0') AS other \
                   FROM generate_series(1, {CHANNELS}) AS n) AS channel ORDER BY n \
             RETURNING channel_id, channel_type, last_sender) \
         SELECT *, row_number() OVER (ORDER BY channel_id) AS n FROM made; \
         INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, joined_at, read_seq, read_ms_id) \
         SELECT channel_id, person, 1, 0, 1, now() - interval '{DAYS} days', {MESSAGES} / {CHANNELS} / 2, 0 \
         FROM (SELECT channel_id, 'u0000001' AS person FROM made \
               UNION SELECT channel_id, last_sender FROM made \
               UNION SELECT channel_id, 'u' || lpad((2 + (n * 7 + m * 13) % {CHANNELS})::text, 7, '0') \
               FROM made, generate_series(1, 18) AS m WHERE channel_type = 'group') AS member; \
         INSERT INTO t_im_message (ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content) \
         SELECT im_first_ms_id(moment) + said.n % 4194304, channel_id, seq, moment, last_sender, seq, 'text', '{content}' \
         FROM (SELECT n, n / {CHANNELS} + 1 AS seq, n % {CHANNELS} + 1 AS place, \
                      date_trunc('day', now()) - interval '{DAYS} days' + interval '1 day' \
                          + n * (interval '{DAYS} days' - interval '1 day') / {MESSAGES} AS moment \
               FROM generate_series(0, {MESSAGES} - 1) AS n) AS said JOIN made ON made.n = said.place;"
    );
    world.sql.batch_execute(&seed).await.expect("a month of messages");
    world.settle_down().await;
}
