//! PostgreSQL: the pool, the migrations, the daily partitions. No other module opens a connection.

mod server;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Client, GenericClient, Hook, HookError, Manager, ManagerConfig, Metrics, Object, Pool, RecyclingMethod,
    Runtime, Transaction,
};
use time::OffsetDateTime;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Config;
use crate::error::{self, Error, Kind, Result};
use crate::tls::{self, Authorities};
use server::Server;

/// The text of `sql/<name>.sql`: one statement, prepared once a connection.
#[macro_export]
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $name, ".sql"))
    };
}

mod migrations {
    refinery::embed_migrations!("sql/schema");
}

/// Held while migrating: refinery takes no lock, and replicas start together.
const MIGRATION_LOCK: i64 = 0x696d_7067;
/// How often work that met a deadlock or a serialisation failure is done again.
const CONTENTION_RETRIES: u32 = 8;
/// First wait before that, doubled each time.
const CONTENTION_WAIT: Duration = Duration::from_millis(5);

/// Every plan is generic (statements are prepared once and run for ever) and uses indexes
/// (a plan made while a table was small must not scan it once it has grown).
const SESSION: &str = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET synchronous_commit = on; SET timezone = 'UTC'; SET application_name = 'im-push-gateway'; \
     SET idle_in_transaction_session_timeout = '30s'; SET lock_timeout = '10s'; SET statement_timeout = '60s'";
/// For work that a crash of the server may take back, because it is simply done again: the log is
/// written in order, so whatever is acknowledged later carries it along.
pub const REPEATABLE: &str = "SET LOCAL synchronous_commit = off";
/// The first statement of whoever writes statuses: until their transaction ends, nothing more is
/// sealed or becomes cold. The statements after it see what was.
pub const SHARE_SEAL: &str = "SELECT pg_advisory_xact_lock_shared(im_seal_lock())";
/// Held alone by whoever seals or switches. They wait little: everybody waits behind them.
const OWN_SEAL: &str = "SET LOCAL lock_timeout = '1s'; SELECT pg_advisory_xact_lock(im_seal_lock())";
/// For taking a day's tables away: it waits for those who read them, and nobody waits for it.
const DROPPING: &str = "SET lock_timeout = '5s'; SET statement_timeout = '5min'";
/// For freezing a day's table: as gently as autovacuum, so it may take long.
const FREEZING: &str = "SET vacuum_cost_delay = '2ms'; SET statement_timeout = 0";
/// Migrations may wait for each other and take their time.
const UNHURRIED: &str = "SET lock_timeout = 0; SET statement_timeout = 0";
/// A server that is gone is noticed after this long, not when TCP gives up.
const GONE: Duration = Duration::from_secs(10);

/// The most locks that a transaction of a request takes for each partition: one that takes in
/// receipts locks a message's table, its index, and the ledger's twice over.
const LOCKS_A_PARTITION: i64 = 6;

/// Whether the server has room for the locks of all connections of a replica at once.
#[derive(Debug, Clone, Copy)]
pub struct Crowding {
    /// How many partitions messages have.
    pub partitions: i64,
    /// How many locks the server has room for.
    pub locks: i64,
    /// How many the connections of this replica take at most, all at once.
    pub wanted: i64,
}

impl Crowding {
    pub fn is_crowded(&self) -> bool {
        self.wanted > self.locks
    }
}

/// How a day's table belongs to its parent. Half: a detaching was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    Whole,
    Half,
    No,
}

/// What a message sent now would find.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    /// The server takes writes.
    pub writable: bool,
    /// Today's partitions are there.
    pub partitions: bool,
    /// The clock that messages are stamped by.
    pub now: OffsetDateTime,
}

/// The database as the rest of the service sees it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    server: Arc<Server>,
}

impl Store {
    /// A pool on `config.database_url`. Connects on first use.
    pub fn new(config: &Config) -> Result<Self> {
        let server = Arc::new(Server::of(&address(config)?));
        Self::open(config, server, (config.database_pool_size, config.database_wait), SESSION.to_owned())
    }

    /// One more connection, for probes: they are answered while the pool is busy, and wait for no lock.
    pub fn for_probes(&self, config: &Config) -> Result<Self> {
        let wait = config.readiness_wait;
        // Half: the connection is free again before the next probe comes.
        let session = format!("{SESSION}; SET statement_timeout = {}", (wait / 2).as_millis().max(1));
        Self::open(config, self.server.clone(), (1, wait), session)
    }

    fn open(
        config: &Config,
        server: Arc<Server>,
        (size, wait): (usize, Duration),
        session: String,
    ) -> Result<Self> {
        let (session, life): (Arc<str>, _) = (session.into(), config.database_connection_life);
        let pool = Pool::builder(manager(config)?)
            .max_size(size)
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
        Ok(Self { pool, server })
    }

    /// A connection of the pool. Never held across a network call to anybody else.
    pub async fn client(&self) -> Result<Object> {
        let began = Instant::now();
        let client = self.pool.get().await.map_err(|e| self.server.refused(began, e))?;
        if Object::metrics(&client).created >= began {
            self.server.connected(began);
        }
        Ok(client)
    }

    /// Brings the schema up to date, one replica at a time, and makes today's partitions.
    pub async fn migrate(&self, config: &Config) -> Result<()> {
        let mut client = self.client().await?;
        client.batch_execute(UNHURRIED).await?;
        client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        let runner = migrations::migrations::runner();
        let newest = runner.get_migrations().iter().map(|migration| migration.version()).max();
        let ran = runner.run_async(&mut **client).await;
        client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
        client.batch_execute(SESSION).await?;
        ran.map_err(|e| self.server.explain_migration(e, newest.unwrap_or_default()))?;
        drop(client);
        self.make_partitions(config).await
    }

    /// Refuses a server that could forget what it has acknowledged.
    pub async fn check_durable(&self) -> Result<()> {
        let row = self.client().await?.query_one(sql!("store/durable"), &[]).await?;
        for setting in ["fsync", "full_page_writes"] {
            if row.get::<_, &str>(setting) != "on" {
                return Err(Error::new(
                    Kind::Internal,
                    format!("the server has {setting} off: acknowledged messages would not survive a crash"),
                ));
            }
        }
        Ok(())
    }

    /// Makes the partitions from today to `partitions_ahead_days` on, where they are missing.
    pub async fn make_partitions(&self, config: &Config) -> Result<()> {
        let days_ahead = i32::try_from(config.partitions_ahead_days).unwrap_or(i32::MAX);
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/make_partitions")).await?;
        client.execute(&statement, &[&days_ahead, &config.partitions_by_month()]).await?;
        Ok(())
    }

    /// Takes a partition away without anybody waiting: detached concurrently, then dropped. What was
    /// interrupted is taken up where it stands. (DDL has no parameters; the names are the catalogue's.)
    pub async fn drop_partition(&self, parent: &str, partition: &str, state: Attached) -> Result<()> {
        // A connection of its own: its settings end with it.
        let client = Client::take(self.client().await?);
        client.batch_execute(DROPPING).await?;
        let detach = |how| format!("ALTER TABLE {parent} DETACH PARTITION {partition} {how}");
        match state {
            Attached::Whole => client.batch_execute(&detach("CONCURRENTLY")).await?,
            Attached::Half => client.batch_execute(&detach("FINALIZE")).await?,
            Attached::No => {}
        }
        Ok(client.batch_execute(&format!("DROP TABLE {partition}")).await?)
    }

    /// Freezes one partition of a day that had ended by then and was not frozen since, if there is one
    /// and nobody else freezes. Nobody waits for it: it skips a table that is being taken away, and
    /// keeps the file's empty end, whose release would need the table alone. (VACUUM has no
    /// parameters; the name is the catalogue's.)
    pub async fn freeze_partition(&self, ended_by: OffsetDateTime) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/unfrozen")).await?;
        let Some(row) = client.query_opt(&statement, &[&ended_by]).await? else {
            return Ok(());
        };
        let partition: String = row.get("partition");
        // A connection of its own: its settings end with it, and so does the lock if we fail.
        let client = Client::take(client);
        client.batch_execute(FREEZING).await?;
        if !client.query_one(sql!("store/freeze_alone"), &[]).await?.get::<_, bool>(0) {
            return Ok(());
        }
        let vacuum = format!("VACUUM (FREEZE, TRUNCATE false, SKIP_LOCKED) {partition}");
        client.batch_execute(&vacuum).await?;
        // Given back here: the server notices only some time later that the connection is gone, and whoever
        // freezes next would find that somebody freezes still.
        client.execute(sql!("store/freeze_over"), &[]).await?;
        Ok(())
    }

    /// What a message sent now would find.
    pub async fn readiness(&self) -> Result<Readiness> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/ready")).await?;
        let row = client.query_one(&statement, &[]).await?;
        let found = Readiness {
            writable: row.get("writable"),
            partitions: row.get("partitions"),
            now: row.get("now"),
        };
        if !found.writable {
            // After a switchover only a new connection finds the server that writes.
            drop(Client::take(client));
        }
        Ok(found)
    }

    /// What locks so many connections may take, against what the server has room for.
    pub async fn crowding(&self, connections: usize) -> Result<Crowding> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/crowding")).await?;
        let row = client.query_one(&statement, &[]).await?;
        let (partitions, locks) = (row.get("partitions"), row.get("locks"));
        let connections = i64::try_from(connections).unwrap_or(i64::MAX);
        Ok(Crowding { partitions, locks, wanted: connections.saturating_mul(LOCKS_A_PARTITION * partitions) })
    }

    /// Everything below the first id is cold, everything below the second one sealed.
    pub async fn horizon(&self) -> Result<(i64, i64)> {
        horizon(&self.client().await?).await
    }

    /// Whether anything is cold.
    pub async fn has_cold(&self) -> Result<bool> {
        Ok(self.horizon().await?.0 > 0)
    }

    /// The database's clock, the one messages are stamped by.
    pub async fn now(&self) -> Result<OffsetDateTime> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/now")).await?;
        Ok(client.query_one(&statement, &[]).await?.get(0))
    }

    /// Connections in use, idle and waited for.
    pub fn pool_status(&self) -> deadpool_postgres::Status {
        self.pool.status()
    }
}

/// What is cold and what is sealed, as the transaction of `client` sees it.
pub async fn horizon(client: &impl GenericClient) -> Result<(i64, i64)> {
    let statement = client.prepare_cached(sql!("store/horizon")).await?;
    let row = client.query_one(&statement, &[]).await?;
    Ok((row.get("ms_id"), row.get("sealed_ms_id")))
}

/// Keeps everybody who writes statuses out until the transaction ends.
pub async fn own_seal(tx: &Transaction<'_>) -> Result<()> {
    Ok(tx.batch_execute(OWN_SEAL).await?)
}

fn address(config: &Config) -> Result<tokio_postgres::Config> {
    let refuse = |_| Error::new(Kind::Internal, "database_url is not a PostgreSQL address");
    config.database_url.expose().parse().map_err(refuse)
}

/// Encrypted and verified when the address asks for it, plain otherwise; nothing in between.
fn manager(config: &Config) -> Result<Manager> {
    let mut pg = address(config)?;
    pg.tcp_user_timeout(GONE).keepalives_idle(GONE);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    if pg.get_ssl_mode() != SslMode::Require {
        pg.ssl_mode(SslMode::Disable);
        return Ok(Manager::from_config(pg, NoTls, recycling));
    }
    let tls = tls::client(&Authorities::Own(&config.database_ca_file), "database_ca_file")?;
    Ok(Manager::from_config(pg, MakeRustlsConnect::new(tls), recycling))
}

/// Does `work` again while it dies of a deadlock or a serialisation failure.
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
