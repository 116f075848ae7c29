//! The schema: its migrations, and whether this database has all of them.

use super::{Statements, Store, session};
use crate::base::config::Config;
use crate::base::error::{Error, Kind, Result};
use crate::sql;

mod migrations {
    refinery::embed_migrations!("sql/schema");
}

/// Held while migrating: refinery takes no lock, and replicas may start at the same time.
const MIGRATION_LOCK: i64 = 0x696d_7067;
/// Migrations may wait for each other and may take long.
const UNHURRIED: &str = "SET lock_timeout = 0; SET statement_timeout = 0";

impl Store {
    /// Updates the schema, on one replica at a time, and creates today's partitions. A schema that is up to date is
    /// only read, so that a role that owns no table can serve.
    pub async fn migrate(&self, config: &Config) -> Result<()> {
        if !self.is_up_to_date().await? {
            self.update_schema(config).await?;
        }
        self.make_partitions(config).await
    }

    /// Whether the database has all migrations. Refuses a schema of others, and a server that only reads.
    async fn is_up_to_date(&self) -> Result<bool> {
        let mut client = self.client().await?;
        let history = client.one(sql!("base/store/history"), &[]).await?;
        if !history.get::<_, bool>("writable") {
            return Err(Error::new(Kind::Internal, self.server.only_reads()));
        }
        if !history.get::<_, bool>("has_history") {
            return Ok(false);
        }
        let runner = migrations::migrations::runner();
        let ours = runner.get_migrations();
        let applied = runner.get_applied_migrations_async(&mut **client).await;
        let newest = Self::newest_migration();
        let applied = applied.map_err(|e| self.server.explain_migration(e, newest))?;
        match applied.iter().rev().find(|theirs| !ours.contains(theirs)) {
            Some(theirs) => Err(self.server.foreign_schema(theirs.version(), newest)),
            None => Ok(applied.len() == ours.len()),
        }
    }

    async fn update_schema(&self, config: &Config) -> Result<()> {
        let mut client = self.client().await?;
        client.batch_execute(UNHURRIED).await?;
        client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        let ran = migrations::migrations::runner().run_async(&mut **client).await;
        client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
        client.batch_execute(&session(config.database.statement_timeout)).await?;
        ran.map_err(|e| self.server.explain_migration(e, Self::newest_migration()))?;
        Ok(())
    }

    /// The version of the newest migration that this build knows.
    pub fn newest_migration() -> i32 {
        let runner = migrations::migrations::runner();
        runner.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or_default()
    }
}
