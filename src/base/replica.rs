//! The replicas of a database: each tells of itself, and all are shown with the work that they hold.

use std::collections::BTreeMap;

use postgres_types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::base::error::Result;
use crate::base::store::{Statements, Store};
use crate::base::worker::{Failing, Tick, Work};
use crate::sql;

/// Most replicas that are shown.
const SHOWN_MAX: i64 = 200;
/// Where the kernel has the name of this machine or container.
const HOST_FILE: &str = "/proc/sys/kernel/hostname";
const HOST_MAX_CHARS: usize = 255;

/// What this replica tells of itself.
pub struct Replica {
    store: Store,
    host: String,
    failing: Failing,
}

/// A replica as it is shown.
#[derive(Debug)]
pub struct Seen {
    pub replica_id: Uuid,
    pub version: String,
    pub host: String,
    pub started_at: OffsetDateTime,
    pub seen_at: OffsetDateTime,
    /// Workers whose last steps failed, with the number of failures in a row.
    pub failing: BTreeMap<String, u64>,
}

/// Work that runs on one replica at a time.
#[derive(Debug)]
pub struct Held {
    pub name: String,
    pub epoch: i64,
    pub until: OffsetDateTime,
    /// `None`: the replica is gone, or of a version that told nothing of itself.
    pub replica_id: Option<Uuid>,
}

impl Replica {
    pub fn new(store: Store, failing: Failing) -> Self {
        let host = std::fs::read_to_string(HOST_FILE).unwrap_or_default();
        let host = host.trim().chars().take(HOST_MAX_CHARS).collect();
        Self { store, host, failing }
    }
}

impl Work for Replica {
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let (id, version, failing) =
            (self.store.replica_id(), env!("CARGO_PKG_VERSION"), Json(self.failing.counts()));
        self.store.run(sql!("base/replica/beat"), &[&id, &version, &self.host, &now, &failing]).await?;
        Ok(Tick::Idle)
    }

    async fn release(&self) -> Result<()> {
        self.store.run(sql!("base/replica/leave"), &[&self.store.replica_id()]).await?;
        Ok(())
    }
}

/// The replicas, the one that has run longest first.
pub async fn replicas(store: &Store) -> Result<Vec<Seen>> {
    let rows = store.all(sql!("base/replica/replicas"), &[&SHOWN_MAX]).await?;
    let seen = |row: &tokio_postgres::Row| {
        let Json(failing) = row.get("failing");
        Seen {
            replica_id: row.get("replica_id"),
            version: row.get("version"),
            host: row.get("host"),
            started_at: row.get("started_at"),
            seen_at: row.get("seen_at"),
            failing,
        }
    };
    Ok(rows.iter().map(seen).collect())
}

/// The work that runs on one replica at a time, by name.
pub async fn leases(store: &Store) -> Result<Vec<Held>> {
    let rows = store.all(sql!("base/replica/leases"), &[]).await?;
    let held = |row: &tokio_postgres::Row| Held {
        name: row.get("name"),
        epoch: row.get("epoch"),
        until: row.get("until"),
        replica_id: row.get("replica_id"),
    };
    Ok(rows.iter().map(held).collect())
}

/// When the schedule last began each job.
pub async fn schedules(store: &Store) -> Result<BTreeMap<String, OffsetDateTime>> {
    let rows = store.all(sql!("base/replica/schedules"), &[]).await?;
    Ok(rows.iter().map(|row| (row.get("name"), row.get("begun_at"))).collect())
}
