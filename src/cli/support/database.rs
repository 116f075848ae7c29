//! What the database knows: counts, sizes, times and states. No statement here reads what people wrote, or who they are.

use std::time::Duration;

use deadpool_postgres::Object;
use serde_json::Value;

use super::{Found, Part};
use crate::base::config::{Config, without_secrets};
use crate::base::error::{Error, Result};
use crate::base::store::{Parameters, Standby, Statements, Store};
use crate::sql;

/// Runs of the archive and of the directory that are shown.
const RUNS: &i64 = &20;
/// The file whose addresses are shortened.
const CALLBACKS: &str = "callbacks.json";
/// How much longer than the server's own limit an answer may take.
const GRACE: Duration = Duration::from_secs(5);

/// A part, and the statement that gives it as one JSON value.
struct Query {
    name: &'static str,
    about: &'static str,
    statement: &'static str,
    parameters: Parameters<'static>,
}

const QUERIES: &[Query] = &[
    Query {
        name: "database.json",
        about: "version, load and settings of PostgreSQL",
        statement: sql!("cli/support/server"),
        parameters: &[],
    },
    Query {
        name: "migrations.json",
        about: "migrations that the database has",
        statement: sql!("cli/support/migrations"),
        parameters: &[],
    },
    Query {
        name: "tables.json",
        about: "tables: size, estimated rows, vacuum",
        statement: sql!("cli/support/tables"),
        parameters: &[],
    },
    Query {
        name: "partitions.json",
        about: "partitions: days, size, estimated rows",
        statement: sql!("cli/support/partitions"),
        parameters: &[],
    },
    Query {
        name: "leases.json",
        about: "leases and schedules",
        statement: sql!("cli/support/leases"),
        parameters: &[],
    },
    Query {
        name: "queues.json",
        about: "queues: depth and age",
        statement: sql!("cli/support/queues"),
        parameters: &[],
    },
    Query {
        name: "archive.json",
        about: "horizon of the archive, last runs and their steps",
        statement: sql!("cli/support/archive"),
        parameters: &[RUNS],
    },
    Query {
        name: "directory_runs.json",
        about: "last directory runs",
        statement: sql!("cli/support/directory"),
        parameters: &[RUNS],
    },
    Query {
        name: CALLBACKS,
        about: "callbacks: state, queue, answers and verdicts of a day",
        statement: sql!("cli/support/callbacks"),
        parameters: &[],
    },
];

/// What the server of `database_read_url` knows.
const OF_STANDBY: &[Query] = &[Query {
    name: "standby.json",
    about: "the standby: replay, conflicts, settings",
    statement: sql!("cli/support/standby"),
    parameters: &[],
}];

/// All parts. If a database does not answer, each of its parts says so.
pub async fn parts(config: &Config, limit: Duration) -> Vec<Part> {
    let mut parts = gather(Store::new(config), QUERIES, limit).await;
    if !config.database.read_url.expose().is_empty() {
        parts.extend(gather(Standby::store_of(config), OF_STANDBY, limit).await);
    }
    parts
}

async fn gather(store: Result<Store>, queries: &[Query], limit: Duration) -> Vec<Part> {
    let mut connection = connect(store, limit).await.map_err(|e| e.to_string());
    let mut parts = Vec::with_capacity(queries.len());
    for query in queries {
        let found = match &connection {
            Ok(client) => match tokio::time::timeout(limit + GRACE, ask(client, query)).await {
                Ok(Ok(value)) => Found::Json(value),
                Ok(Err(e)) => Found::Missing(e.to_string()),
                Err(_) => {
                    // The connection still waits for this answer.
                    connection = Err("the database has stopped answering".to_owned());
                    Found::Missing(format!("no answer within {} s", (limit + GRACE).as_secs()))
                }
            },
            Err(why) => Found::Missing(why.clone()),
        };
        parts.push(Part { name: query.name, about: query.about, found });
    }
    parts
}

/// A connection of its own, on which the server ends a statement that takes too long. Nothing can be written on it.
async fn connect(store: Result<Store>, limit: Duration) -> Result<Object> {
    let connecting = async {
        let client = store?.client().await?;
        let limits =
            format!("SET statement_timeout = {}; SET default_transaction_read_only = on", limit.as_millis());
        client.batch_execute(&limits).await?;
        Ok(client)
    };
    match tokio::time::timeout(limit + GRACE, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::unavailable("the database does not answer")),
    }
}

async fn ask(client: &Object, query: &Query) -> Result<Value> {
    let mut value: Value = client.one(query.statement, query.parameters).await?.get("found");
    if query.name == CALLBACKS {
        for callback in value.as_array_mut().into_iter().flatten() {
            let shortened = callback["url"].as_str().map(without_secrets);
            callback["url"] = shortened.into();
        }
    }
    Ok(value)
}
