//! What a section stands on: a database of its own with people and channels in it, and the
//! service as a process, pushing to a live receiver.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::http::Receiver;
use super::support::gateway::SECRET;
use super::support::{Cluster, Service};

/// What everybody says: 60 characters, as people write.
pub const CONTENT: &str = r#"{"text":"The minutes of this morning are on the board, please check."}"#;
/// Of one database connection of the service; hand-made SQL gets the same.
pub const SESSION: &str = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";
/// Connections of the service, by its default.
pub const POOL: &str = "16";
/// Nothing left to push.
const DRAINED: &str = "SELECT NOT EXISTS (SELECT FROM v_im_push_item WHERE callback_id = 'gateway')";
const RAW_TABLES: &str = include_str!("raw_tables.sql");
/// The kernel's clock ticks a second, on every system it runs on today.
const TICKS: f64 = 100.0;
const LOOK: Duration = Duration::from_millis(5);

pub struct World<'a> {
    pub cluster: &'a Cluster,
    pub database: String,
    pub sql: Client,
    pub service: Service,
}

impl<'a> World<'a> {
    pub async fn open(cluster: &'a Cluster, receiver: &Receiver) -> Self {
        Self::open_with(cluster, &receiver.url(), &[]).await
    }

    /// Pushing to `callback`, with further settings of the service.
    pub async fn open_with(cluster: &'a Cluster, callback: &str, more: &[(&str, &str)]) -> Self {
        let database = cluster.fresh_database(None).await;
        let url = cluster.url(&database);
        let mut settings = vec![
            ("database_url", url.as_str()),
            ("database_pool_size", POOL),
            ("identity_mode", "headers"),
            ("callback_url", callback),
            ("callback_secrets", SECRET),
            // A few users send all of it. Their limit is counted, and never reached.
            ("user_requests_per_second", "1000000"),
            ("user_requests_burst", "1000000"),
        ];
        settings.extend(more);
        let tried = std::env::var("BENCH_SETTINGS").unwrap_or_default();
        settings.extend(tried.split(';').filter_map(|setting| setting.split_once('=')));
        let service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
        let sql = cluster.connect(&database).await;
        Self { cluster, database, sql, service }
    }

    /// One more connection with the service's own session settings.
    pub async fn session(&self) -> Client {
        let client = self.cluster.connect(&self.database).await;
        client.batch_execute(SESSION).await.expect("session settings");
        client
    }

    /// One for hand-made SQL: it writes into tables of its own.
    pub async fn raw(&self) -> Client {
        let client = self.session().await;
        client.batch_execute(RAW_TABLES).await.expect("tables for hand-made SQL");
        client.batch_execute("SET search_path = raw, public").await.expect("a search path");
        client
    }

    pub fn address(&self) -> SocketAddr {
        let url = self.service.url();
        url.trim_start_matches("http://").parse().expect("an address")
    }

    /// People `u0000001` and on.
    pub async fn people(&self, count: i32) {
        let sql = "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
                   SELECT 'u' || lpad(n::text, 7, '0'), 'Person ' || n, now(), false FROM generate_series(1, $1::integer) AS n";
        self.sql.execute(sql, &[&count]).await.expect("people");
    }

    /// `each` direct channels for each of the first `senders` people, with somebody beyond them.
    pub async fn directs(&self, senders: i32, each: i32) -> Vec<Vec<i64>> {
        let sql = "WITH pair AS ( \
                       SELECT 'u' || lpad(s::text, 7, '0') AS low, \
                              'u' || lpad(($1::integer + (s - 1) * $2::integer + e)::text, 7, '0') AS high \
                       FROM generate_series(1, $1::integer) AS s, generate_series(1, $2::integer) AS e), \
                   made AS ( \
                       INSERT INTO t_im_channel (channel_type, creator, pair_low, pair_high, create_time, member_count) \
                       SELECT 'direct', low, low, high, now(), 2 FROM pair ORDER BY low, high \
                       RETURNING channel_id, pair_low, pair_high), \
                   joined AS ( \
                       INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, \
                                                      joined_at, read_seq, read_ms_id) \
                       SELECT channel_id, person, 1, 0, 1, now(), 0, 0 \
                       FROM made, LATERAL (VALUES (pair_low), (pair_high)) AS member (person)) \
                   SELECT array_agg(channel_id ORDER BY channel_id), \
                          count(im_set_members(channel_id, ARRAY[pair_low, pair_high])) \
                   FROM made GROUP BY pair_low ORDER BY pair_low";
        let rows = self.sql.query(sql, &[&senders, &each]).await;
        rows.expect("channels").iter().map(|row| row.get(0)).collect()
    }

    /// A group of the first `members` people.
    pub async fn group(&self, members: i32) -> i64 {
        let sql = "WITH made AS ( \
                       INSERT INTO t_im_channel (channel_type, creator, owner, channel_name, create_time, member_count) \
                       VALUES ('group', 'u0000001', 'u0000001', 'Everybody', now(), $1) RETURNING channel_id), \
                   joined AS ( \
                       INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, \
                                                      joined_at, read_seq, read_ms_id) \
                       SELECT channel_id, 'u' || lpad(n::text, 7, '0'), 1, 0, 1, now(), 0, 0 \
                       FROM made, generate_series(1, $1::integer) AS n) \
                   SELECT channel_id, im_set_members(channel_id, ARRAY( \
                       SELECT 'u' || lpad(n::text, 7, '0') FROM generate_series(1, $1::integer) AS n)) FROM made";
        let row = self.sql.query_one(sql, &[&members]).await;
        row.expect("a group").get(0)
    }

    /// What autovacuum would have done by the time these tables had grown so. The others are as a
    /// new day's are: empty, and nobody has looked at them.
    pub async fn settle_down(&self) {
        let seen = "VACUUM ANALYZE t_im_user, t_im_channel, t_im_channel_user, t_im_channel_slot, t_im_channel_block";
        for statement in [seen, "CHECKPOINT"] {
            self.sql.batch_execute(statement).await.expect(statement);
        }
    }

    /// Pairs of message and receiver that wait to be pushed or answered.
    pub async fn backlog(&self) -> i64 {
        self.number(
            "SELECT coalesce(sum(pairs), 0)::bigint FROM v_im_push_item WHERE callback_id = 'gateway'",
        )
        .await
    }

    /// Microseconds of the processors that PostgreSQL has used so far.
    pub fn database_us(&self) -> f64 {
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let stats = processes.filter_map(|one| std::fs::read_to_string(one.path().join("stat")).ok());
        let ticks = |stat: String| -> f64 {
            // Behind the name in brackets: the state, and from the 12th on what it and its children have used.
            let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
            let used = rest.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<f64>().ok());
            if name.ends_with("(postgres") { used.sum() } else { 0.0 }
        };
        stats.map(ticks).sum::<f64>() * 1e6 / TICKS
    }

    /// Waits until all is written, pushed and answered, at most so long; whether it is.
    pub async fn drained(&self, most: Duration) -> bool {
        let statement = self.sql.prepare(DRAINED).await.expect("a statement");
        let deadline = Instant::now() + most;
        while Instant::now() < deadline {
            let row = self.sql.query_one(&statement, &[]).await.expect("the backlog");
            if row.get(0) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    /// Counts the server's time from now on.
    pub async fn watch_statements(&self) {
        let watch = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset()";
        self.sql.batch_execute(watch).await.expect("pg_stat_statements");
    }

    /// The statements that took most of it, by their first words: microseconds and calls a send.
    pub async fn statement_profile(&self, sends: usize) -> String {
        let sql = "SELECT string_agg(format('%s µs %s× %s', round(ms * 1e3, 1), round(calls, 2), text), '; ' ORDER BY ms DESC) \
                   FROM (SELECT (total_exec_time / $1)::numeric AS ms, (s.calls / $1)::numeric AS calls, \
                                left(regexp_replace(query, '\\s+', ' ', 'g'), 44) AS text \
                         FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
                         WHERE d.datname = current_database() ORDER BY total_exec_time DESC LIMIT 14) AS most";
        self.sql.query_one(sql, &[&(sends as f64)]).await.expect("pg_stat_statements").get(0)
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.expect("a number").get(0)
    }

    /// The service's resident memory in MB; 0 when it is gone.
    pub fn memory(&self) -> f64 {
        self.service.pid().map_or(0.0, |pid| status(pid, "VmRSS:"))
    }

    /// Begins the kernel's record of the most it comes to anew.
    pub fn watch_memory(&self) {
        if let Some(pid) = self.service.pid() {
            // 5 resets the peak to what is resident now.
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    /// The most since then, in MB.
    pub fn memory_peak(&self) -> f64 {
        self.service.pid().map_or(0.0, |pid| status(pid, "VmHWM:"))
    }

    pub async fn close(self) {
        let (cluster, database) = (self.cluster, self.database.clone());
        drop(self);
        cluster.drop_database(&database).await;
    }
}

fn status(pid: u32, field: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
