//! A database with days that are old enough to move, filled by set-based SQL.

use std::sync::Arc;

use im_push_gateway::archive::elastic::Elastic;
use im_push_gateway::base::config::Config;
use im_push_gateway::base::store::Store;

use super::Bench;
use super::world::World;

/// Members of each group, and groups.
pub const MEMBERS: i32 = 1_000;
pub const GROUPS: i64 = 5;

pub struct Aged<'a> {
    pub world: World<'a>,
    pub groups: Vec<i64>,
}

impl<'a> Aged<'a> {
    /// Without a service: what runs on it, runs in the bench.
    pub async fn open(bench: &'a Bench) -> Self {
        let mut world = World::open(&bench.cluster, &bench.receiver).await;
        world.service.kill9();
        let groups = people(&world).await;
        Self { world, groups }
    }

    /// What the bench itself opens on the same database, and the archive of this name.
    pub fn config(&self, bench: &Bench, index: &str, more: &str) -> Config {
        let url = self.world.cluster.url(&self.world.database);
        let text = format!(
            "database_url = \"{url}\"\ntrusted_peers = [\"127.0.0.1\"]\narchive_url = \"{}\"\n\
             archive_index = \"{index}\"\narchive_replicas = 0\n{more}",
            bench.elastic.url()
        );
        Config::from_toml(&text).expect("settings")
    }
}

pub fn store(config: &Config) -> Store {
    Store::new(config).expect("a store")
}

pub fn elastic(config: &Config) -> Arc<Elastic> {
    Arc::new(Elastic::new(config).expect("an archive"))
}

/// The groups of 1,000 that everybody is in.
pub async fn people(world: &World<'_>) -> Vec<i64> {
    world.people(MEMBERS).await;
    let mut groups = Vec::new();
    for _ in 0..GROUPS {
        groups.push(world.group(MEMBERS).await);
    }
    groups
}

/// Fills the day so long ago: messages of the groups, spread over it, with every receiver in the ledger:
/// 7 of 10 read, 2 received, 1 offline, each at a time of its own. Returns the day's name in tables.
pub async fn fill(world: &World<'_>, groups: &[i64], days_ago: i32, rows: i64) -> String {
    let messages = (rows / i64::from(MEMBERS - 1)).max(1);
    let list: Vec<String> = groups.iter().map(i64::to_string).collect();
    let (list, count) = (list.join(","), groups.len());
    let day = format!("(now() AT TIME ZONE 'UTC')::date - {days_ago}");
    let fill = format!(
        "SELECT im_make_partitions({day}); \
         INSERT INTO t_im_message (ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content) \
         SELECT im_first_ms_id(moment) + 1, (ARRAY[{list}])[n % {count} + 1], \
                (100 - {days_ago}) * 100000 + n / {count} + 1, moment, \
                'u' || lpad((n * 7919 % {MEMBERS} + 1)::text, 7, '0'), 1, 'text', \
                jsonb_build_object('text', '各位同事，第 ' || n || ' 号季度销售报告已上传，请在周五前确认 please check') \
         FROM (SELECT n, ({day})::timestamp AT TIME ZONE 'UTC' + n * (interval '86000 s' / {messages}) AS moment \
               FROM generate_series(0, {messages} - 1) AS n) AS said; \
         INSERT INTO t_im_ledger (ms_id, channel_id, seq, server_time, block, receivers, received, read, offline, times) \
         SELECT ms_id, channel_id, seq, server_time, slot >> 10, \
                string_agg(CASE WHEN receives THEN '1' ELSE '0' END, '' ORDER BY slot)::bit varying, \
                string_agg(CASE WHEN receives AND dice >= 0.7 AND dice < 0.9 THEN '1' ELSE '0' END, '' ORDER BY slot)::bit varying, \
                string_agg(CASE WHEN receives AND dice < 0.7 THEN '1' ELSE '0' END, '' ORDER BY slot)::bit varying, \
                string_agg(CASE WHEN receives AND dice >= 0.9 THEN '1' ELSE '0' END, '' ORDER BY slot)::bit varying, \
                string_agg(substring(int8send((late * 14400000)::bigint) FROM 4), '' ORDER BY slot) \
         FROM (SELECT m.ms_id, m.channel_id, m.seq, m.server_time, s.slot, s.user_id <> m.sender AS receives, \
                      random() AS dice, random() ^ 4 AS late \
               FROM t_im_message m JOIN t_im_channel_slot s ON s.channel_id = m.channel_id \
               WHERE m.ms_id >= im_first_ms_id(({day})::timestamp AT TIME ZONE 'UTC') \
                 AND m.ms_id < im_first_ms_id(({day} + 1)::timestamp AT TIME ZONE 'UTC')) AS receipt \
         GROUP BY ms_id, channel_id, seq, server_time, slot >> 10;"
    );
    world.sql.batch_execute(&fill).await.expect("an old day");
    let name: String =
        world.sql.query_one(&format!("SELECT to_char({day}, 'YYYYMMDD')"), &[]).await.expect("a day").get(0);
    let tidy = format!("VACUUM (FREEZE, ANALYZE) t_im_message_p{name}, t_im_ledger_p{name}; CHECKPOINT");
    for statement in tidy.split("; ") {
        world.sql.batch_execute(statement).await.expect(statement);
    }
    name
}
