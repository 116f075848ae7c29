//! Runs the statements of `sql/`. Each is prepared once for each connection.

use deadpool_postgres::{ClientWrapper, Object, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Store;
use crate::base::error::Result;

/// The parameters of a statement.
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection, or a transaction on it.
pub trait Statements {
    /// All rows.
    fn all(&self, sql: &str, parameters: Parameters<'_>) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// The only row; an error if there is none or more than one.
    fn one(&self, sql: &str, parameters: Parameters<'_>) -> impl Future<Output = Result<Row>> + Send;

    /// The only row, if there is one.
    fn opt(&self, sql: &str, parameters: Parameters<'_>) -> impl Future<Output = Result<Option<Row>>> + Send;

    /// The number of rows that it changed.
    fn run(&self, sql: &str, parameters: Parameters<'_>) -> impl Future<Output = Result<u64>> + Send;
}

macro_rules! statements {
    ($($on:ty),*) => {$(
        impl Statements for $on {
            async fn all(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
                let statement = self.prepare_cached(sql).await?;
                Ok(self.query(&statement, parameters).await?)
            }

            async fn one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row> {
                let statement = self.prepare_cached(sql).await?;
                Ok(self.query_one(&statement, parameters).await?)
            }

            async fn opt(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>> {
                let statement = self.prepare_cached(sql).await?;
                Ok(self.query_opt(&statement, parameters).await?)
            }

            async fn run(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64> {
                let statement = self.prepare_cached(sql).await?;
                Ok(self.execute(&statement, parameters).await?)
            }
        }
    )*};
}

statements!(Object, ClientWrapper, Transaction<'_>);

/// One statement, on a connection of its own.
impl Statements for Store {
    async fn all(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        self.client().await?.all(sql, parameters).await
    }

    async fn one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row> {
        self.client().await?.one(sql, parameters).await
    }

    async fn opt(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>> {
        self.client().await?.opt(sql, parameters).await
    }

    async fn run(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64> {
        self.client().await?.run(sql, parameters).await
    }
}
