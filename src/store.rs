//! PostgreSQL: the pool, the migrations, the daily partitions. No other module opens a connection.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use time::OffsetDateTime;
use tokio_postgres::NoTls;

use crate::config::Config;
use crate::error::{Error, Kind, Result};

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
     SET synchronous_commit = on; SET timezone = 'UTC'; SET application_name = 'im-push-gateway'";

/// The database as the rest of the service sees it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// A pool on `config.database_url`. Connects on first use.
    pub fn new(config: &Config) -> Result<Self> {
        let pg: tokio_postgres::Config = config
            .database_url
            .expose()
            .parse()
            .map_err(|_| Error::new(Kind::Internal, "database_url is not a PostgreSQL address"))?;
        let manager = Manager::from_config(
            pg,
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(config.database_pool_size)
            .wait_timeout(Some(config.database_wait))
            .create_timeout(Some(config.database_wait))
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { pool })
    }

    /// A connection of the pool. Never held across a network call to anybody else.
    pub async fn client(&self) -> Result<Object> {
        Ok(self.pool.get().await?)
    }

    /// Brings the schema up to date, one replica at a time, and makes today's partitions.
    pub async fn migrate(&self, config: &Config) -> Result<()> {
        let mut client = self.client().await?;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK])
            .await?;
        let ran = migrations::migrations::runner().run_async(&mut **client).await;
        client
            .execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
            .await?;
        ran.map_err(Error::internal)?;
        drop(client);
        self.make_partitions(config.partitions_ahead_days).await
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

    /// Makes the partitions from today to `days_ahead` days on, where they are missing.
    pub async fn make_partitions(&self, days_ahead: u32) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/make_partitions")).await?;
        client
            .execute(&statement, &[&i32::try_from(days_ahead).unwrap_or(i32::MAX)])
            .await?;
        Ok(())
    }

    /// Whether a message sent now would find its partitions.
    pub async fn today_has_partitions(&self) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql!("store/today_has_partitions")).await?;
        Ok(client.query_one(&statement, &[]).await?.get(0))
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
