//! PostgreSQL: the pool, the migrations, the daily partitions. Only this module opens connections.

mod fresh;
mod schema;
mod server;
mod session;
mod signals;
mod standby;
mod statements;
mod turn;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Metrics, Object, Pool, QueueMode, RecyclingMethod,
    Runtime, Transaction,
};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use crate::base::config::{Config, DatabaseSettings, Secret};
use crate::base::error::{self, Error, Kind, Result};
use crate::base::number::MsId;
use crate::base::throttle::Throttle;
use crate::base::tls::{self, Authorities};
use fresh::Fresh;
use server::{PRIMARY, STANDBY, Server};
pub use signals::Signals;
pub use standby::{Fitness, Standby};
pub use statements::{Parameters, Statements};

/// The text of `sql/<name>.sql`: one statement, prepared once for each connection.
#[macro_export]
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $name, ".sql"))
    };
}

/// How often work is retried after a deadlock or serialization failure.
const CONTENTION_RETRIES: u32 = 8;
/// First pause before a retry, doubled each time.
const CONTENTION_WAIT: Duration = Duration::from_millis(5);

/// All plans are generic, because statements are prepared once and run for ever. They use indexes, because a
/// plan made while a table was small must not scan it after it has grown.
const SESSION: &str = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET synchronous_commit = on; SET timezone = 'UTC'; SET application_name = 'im-push-gateway'; \
     SET idle_in_transaction_session_timeout = '30s'; SET lock_timeout = '10s'";
/// A standby takes no writes. If it is promoted, it takes none of these connections.
const ONLY_READS: &str = "SET default_transaction_read_only = on";
/// For work that may be lost in a crash of the server, because it is done again. The WAL is written in order,
/// so a later acknowledged commit makes it durable too.
pub const REPEATABLE: &str = "SET LOCAL synchronous_commit = off";
/// The first statement of a transaction that writes push statuses. Until it ends, no day is sealed or becomes
/// cold. Later statements see the current state.
pub const SHARE_SEAL: &str = "SELECT pg_advisory_xact_lock_shared(im_seal_lock())";
/// Taken exclusively to seal or switch a day. The timeout is short, because other transactions queue behind
/// it.
const OWN_SEAL: &str = "SET LOCAL lock_timeout = '1s'; SELECT pg_advisory_xact_lock(im_seal_lock())";
/// For dropping a day's tables. It waits for readers, and blocks no other transaction.
const DROPPING: &str = "SET lock_timeout = '5s'; SET statement_timeout = '5min'";
/// For dropping them as the owner, which needs the lock of the parent: others wait behind it for this long at most.
const DROPPING_LOCKED: &str = "SET lock_timeout = '200ms'; SET statement_timeout = '5min'";
/// For freezing a day's table: as gentle as autovacuum, so it may take long.
const FREEZING: &str = "SET vacuum_cost_delay = '2ms'; SET statement_timeout = 0";
/// A dead server is noticed after this long, not after TCP's timeout.
const GONE: Duration = Duration::from_secs(10);

/// Most locks that one request's transaction takes for each partition. One that applies receipts locks the
/// table and index of messages, and those of the ledger twice over.
const LOCKS_A_PARTITION: i64 = 6;

/// Whether the server has enough locks for all connections of a replica at once.
#[derive(Debug, Clone, Copy)]
pub struct Crowding {
    /// Number of partitions of messages.
    pub partitions: i64,
    /// Number of locks the server has room for.
    pub locks: i64,
    /// Most locks that the connections of this replica take at the same time.
    pub wanted: i64,
}

impl Crowding {
    pub fn is_crowded(&self) -> bool {
        self.wanted > self.locks
    }
}

/// Whether a day's table is attached to its parent. Half: a detach was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    Whole,
    Half,
    No,
}

/// How far the archive has taken over. Nothing is cold or sealed below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Messages below this id are only in the archive.
    pub cold: MsId,
    /// The statuses of messages below this id no longer change in PostgreSQL.
    pub sealed: MsId,
}

/// Whether a message could be stored now.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    /// The server accepts writes.
    pub writable: bool,
    /// Today's partitions exist.
    pub partitions: bool,
    /// The clock that gives messages their time.
    pub now: OffsetDateTime,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.writable && self.partitions
    }
}

/// The database for the rest of the service. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    server: Arc<Server>,
    throttle: Arc<Throttle>,
    /// For work that waits for a lock which many want.
    turns: Arc<Semaphore>,
    /// On a standby: what the answer of a read must see.
    fresh: Option<Arc<Fresh>>,
    /// The replica that uses it, made up at its start.
    replica_id: Uuid,
    settings: Arc<DatabaseSettings>,
}

impl Store {
    /// A pool for `database_url`. It connects on first use.
    pub fn new(config: &Config) -> Result<Self> {
        let database = &config.database;
        let server = Arc::new(Server::of(&address(&database.url, PRIMARY)?, PRIMARY));
        let session = session(database.statement_timeout);
        Self::open(config, server, (database.pool_size, database.wait), session)
    }

    /// A pool for the standby of `database_read_url`. Nothing can be written on it.
    fn for_standby(config: &Config) -> Result<Self> {
        let database = &config.database;
        let server = Arc::new(Server::of(&address(&database.read_url, STANDBY)?, STANDBY));
        let session = format!("{}; {ONLY_READS}", session(database.statement_timeout));
        Self::open(config, server, (database.pool_size, database.wait), session)
    }

    /// The same store for one answer, which must see this.
    fn fresh(&self, fresh: Fresh) -> Self {
        Self { fresh: Some(Arc::new(fresh)), ..self.clone() }
    }

    /// What another system shows by now is in the database, too: a standby has replayed it before the next statement. An
    /// archive can have messages that the standby did not have when the answer began.
    pub async fn catch_up(&self) -> Result<()> {
        match &self.fresh {
            Some(fresh) => fresh.renew().await,
            None => Ok(()),
        }
    }

    /// A separate connection for probes. They are answered while the pool is busy, and wait for no lock.
    pub fn for_probes(&self, config: &Config) -> Result<Self> {
        let wait = config.database.readiness_wait;
        // Half of it: the connection is free again before the next probe.
        let probes = Self::open(config, self.server.clone(), (1, wait), session(wait / 2))?;
        Ok(Self { replica_id: self.replica_id, ..probes })
    }

    fn open(
        config: &Config,
        server: Arc<Server>,
        (size, wait): (usize, Duration),
        session: String,
    ) -> Result<Self> {
        let (session, life): (Arc<str>, _) = (session.into(), config.database.connection_life);
        let pool = Pool::builder(manager(&config.database, server.setting())?)
            .max_size(size)
            // The connection used last is the one whose plans are in the caches of the processor.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(wait))
            .create_timeout(Some(wait))
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(move |client, _| {
                let session = session.clone();
                Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
            }))
            .pre_recycle(Hook::sync_fn(|_, metrics: &Metrics| match error::is_stale(metrics.created) {
                true => Err(HookError::message("connected before the database moved")),
                false => Ok(()),
            }))
            .pre_recycle(Hook::sync_fn(move |_, metrics: &Metrics| match metrics.age() < life {
                true => Ok(()),
                false => Err(HookError::message("old")),
            }))
            .build()
            .map_err(Error::internal)?;
        let workers = &config.workers;
        let throttle = Arc::new(Throttle::new(workers.background_send_wait, workers.lease, Instant::now()));
        let turns = Arc::new(Semaphore::new(turn::at_once(size)));
        let settings = Arc::new(config.database.clone());
        Ok(Self { pool, server, throttle, turns, fresh: None, replica_id: Uuid::now_v7(), settings })
    }

    /// The replica that uses it.
    pub fn replica_id(&self) -> Uuid {
        self.replica_id
    }

    /// What background work rests by, and what notes the waits of sends.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// A connection of the pool. Never hold it during a network call to another server.
    pub async fn client(&self) -> Result<Object> {
        if let Some(fresh) = &self.fresh {
            return fresh.client(&self.pool, &self.server).await;
        }
        let began = Instant::now();
        let client = self.pool.get().await.map_err(|e| self.server.refused(began, e))?;
        if Object::metrics(&client).created >= began {
            self.server.connected(began);
        }
        Ok(client)
    }

    /// Refuses a server that could lose acknowledged commits.
    pub async fn check_durable(&self) -> Result<()> {
        let row = self.client().await?.query_one(sql!("base/store/durable"), &[]).await?;
        for setting in ["fsync", "full_page_writes"] {
            if row.get::<_, &str>(setting) != "on" {
                return Err(Error::new(
                    Kind::Internal,
                    format!(
                        "{setting} is off in PostgreSQL: turn it on, or a crash can lose acknowledged messages"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Creates the missing partitions from today to `partitions_ahead_days` on.
    pub async fn make_partitions(&self, config: &Config) -> Result<()> {
        let days_ahead = i32::try_from(config.database.partitions_ahead_days).unwrap_or(i32::MAX);
        self.run(sql!("base/store/make_partitions"), &[&days_ahead, &config.partitions_by_month()]).await?;
        Ok(())
    }

    /// Drops a partition without blocking other transactions: detached concurrently, then dropped. Continues
    /// an interrupted drop. (DDL has no parameters; the names are from the catalog.) A role that does not own the
    /// tables drops through a function of the owner, which locks the parent for a moment.
    pub async fn drop_partition(&self, parent: &str, partition: &str, state: Attached) -> Result<()> {
        let client = self.client().await?;
        let owns: bool = client.one(sql!("base/store/owns_partitions"), &[]).await?.get(0);
        // A connection outside of the pool: its settings end with it.
        let client = Client::take(client);
        if !owns {
            client.batch_execute(DROPPING_LOCKED).await?;
            retrying(|| async { client.run(sql!("base/store/drop_cold"), &[&partition]).await }).await?;
            return Ok(());
        }
        client.batch_execute(DROPPING).await?;
        let detach = |how| format!("ALTER TABLE {parent} DETACH PARTITION {partition} {how}");
        match state {
            Attached::Whole => client.batch_execute(&detach("CONCURRENTLY")).await?,
            Attached::Half => client.batch_execute(&detach("FINALIZE")).await?,
            Attached::No => {}
        }
        Ok(client.batch_execute(&format!("DROP TABLE {partition}")).await?)
    }

    /// Freezes one partition of a day that had ended by then and was not frozen since, unless another
    /// connection freezes, or the role does not own the tables: only an owner can vacuum. It blocks no other transaction: it skips a table that is being dropped, and does
    /// not truncate the file, which would need an exclusive lock. (VACUUM has no parameters; the name is from
    /// the catalog.)
    pub async fn freeze_partition(&self, ended_by: OffsetDateTime) -> Result<()> {
        let client = self.client().await?;
        let Some(row) = client.opt(sql!("base/store/unfrozen"), &[&ended_by]).await? else {
            return Ok(());
        };
        let partition: String = row.get("partition");
        // A connection outside of the pool: its settings, and on failure its lock, end with it.
        let client = Client::take(client);
        client.batch_execute(FREEZING).await?;
        if !client.query_one(sql!("base/store/freeze_alone"), &[]).await?.get::<_, bool>(0) {
            return Ok(());
        }
        let vacuum = format!("VACUUM (FREEZE, TRUNCATE false, SKIP_LOCKED) {partition}");
        client.batch_execute(&vacuum).await?;
        // Released here: the server notices a closed connection only later, and the next freeze would find
        // the lock still held.
        client.execute(sql!("base/store/freeze_over"), &[]).await?;
        Ok(())
    }

    /// Whether a message could be stored now.
    pub async fn readiness(&self) -> Result<Readiness> {
        let client = self.client().await?;
        let row = client.one(sql!("base/store/ready"), &[]).await?;
        let found = Readiness {
            writable: row.get("writable"),
            partitions: row.get("partitions"),
            now: row.get("now"),
        };
        if !found.writable {
            // After a switchover, only a new connection reaches the primary.
            drop(Client::take(client));
        }
        Ok(found)
    }

    /// Compares the locks of so many connections with the server's room for locks.
    pub async fn crowding(&self, connections: usize) -> Result<Crowding> {
        let row = self.one(sql!("base/store/crowding"), &[]).await?;
        let (partitions, locks) = (row.get("partitions"), row.get("locks"));
        let connections = i64::try_from(connections).unwrap_or(i64::MAX);
        Ok(Crowding { partitions, locks, wanted: connections.saturating_mul(LOCKS_A_PARTITION * partitions) })
    }

    /// The ids up to which messages are cold and sealed.
    pub async fn horizon(&self) -> Result<Horizon> {
        horizon(&self.client().await?).await
    }

    /// Whether any message is cold.
    pub async fn has_cold(&self) -> Result<bool> {
        Ok(self.horizon().await?.cold > MsId(0))
    }

    /// The database's clock, which gives messages their time.
    pub async fn now(&self) -> Result<OffsetDateTime> {
        now(self).await
    }

    /// Connections in use, idle and waited for.
    pub fn pool_status(&self) -> deadpool_postgres::Status {
        self.pool.status()
    }
}

/// The database's clock, on this connection or in this transaction.
pub async fn now(client: &impl Statements) -> Result<OffsetDateTime> {
    Ok(client.one(sql!("base/store/now"), &[]).await?.get(0))
}

/// The ids up to which messages are cold and sealed, as the transaction of `client` sees them.
pub async fn horizon(client: &impl Statements) -> Result<Horizon> {
    let row = client.one(sql!("base/store/horizon"), &[]).await?;
    Ok(Horizon { cold: row.get("ms_id"), sealed: row.get("sealed_ms_id") })
}

/// From now on no statement of the transaction takes longer than this, also not while it waits for a lock.
pub async fn bound_statements(tx: &Transaction<'_>, most: Duration) -> Result<()> {
    let most_ms = most.as_millis().max(1);
    Ok(tx.batch_execute(&format!("SET LOCAL statement_timeout = {most_ms}")).await?)
}

/// Blocks all writers of push statuses until the transaction ends.
pub async fn own_seal(tx: &Transaction<'_>) -> Result<()> {
    Ok(tx.batch_execute(OWN_SEAL).await?)
}

/// The settings of a session whose statements take at most this long.
fn session(statement_timeout: Duration) -> String {
    format!("{SESSION}; SET statement_timeout = {}", statement_timeout.as_millis().max(1))
}

fn address(url: &Secret, setting: &'static str) -> Result<tokio_postgres::Config> {
    let refuse = |_| Error::new(Kind::Internal, format!("{setting} is not a PostgreSQL address"));
    url.expose().parse().map_err(refuse)
}

/// How a server is connected: encrypted and verified if the address asks for it, otherwise plain; no mode in between.
fn reachable(settings: &DatabaseSettings, setting: &'static str) -> Result<tokio_postgres::Config> {
    let url = if setting == STANDBY { &settings.read_url } else { &settings.url };
    let mut pg = address(url, setting)?;
    pg.tcp_user_timeout(GONE).keepalives_idle(GONE);
    if pg.get_ssl_mode() != SslMode::Require {
        pg.ssl_mode(SslMode::Disable);
    }
    Ok(pg)
}

fn manager(settings: &DatabaseSettings, setting: &'static str) -> Result<Manager> {
    let pg = reachable(settings, setting)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    if pg.get_ssl_mode() != SslMode::Require {
        return Ok(Manager::from_config(pg, NoTls, recycling));
    }
    let tls = tls::client(&Authorities::Own(&settings.ca_file), "database_ca_file")?;
    Ok(Manager::from_config(pg, MakeRustlsConnect::new(tls), recycling))
}

/// Retries `work` after a deadlock or serialization failure.
pub async fn retrying<T, F>(mut work: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut wait = CONTENTION_WAIT;
    for _ in 0..CONTENTION_RETRIES {
        match work().await {
            Err(e) if e.is_contention() => tokio::time::sleep(wait).await,
            done => return done,
        }
        wait *= 2;
    }
    work().await
}
