//! Checks that a connection has a session of its own, and that its locks keep other sessions out. A pooler that
//! shares sessions would lose prepared statements, settings and locks between two requests.

use std::result::Result as StdResult;

use deadpool_postgres::Object;
use tokio_postgres::SimpleQueryMessage;

use super::{Statements, Store};
use crate::base::error::{Error, Kind, Result};
use crate::sql;

/// A pooler with two free sessions, used in turn, gives the marked one to the second connection.
const CONNECTIONS: usize = 3;
const SHARED: &str = "leads to a pooler that shares sessions (PgBouncer with pool_mode = transaction or \
     statement), which would lose prepared statements, settings and locks: set pool_mode = session, with a \
     default_pool_size of at least replicas × (database_pool_size + 2), or connect directly";

const NO_LOCKS: &str = "the advisory locks of the database keep no other session out, as in CockroachDB and other \
     stores that only look like PostgreSQL: replicas would move the same day, and statuses would be lost. Name a \
     PostgreSQL server, 15 or newer, in database_url";

impl Store {
    /// Refuses a server whose advisory locks are stubs: while one session holds a lock, another must not get it.
    pub async fn check_locks(&self) -> Result<()> {
        let (mut holder, other) = (self.client().await?, self.client().await?);
        let tx = holder.transaction().await?;
        let key: i64 = tx.one(sql!("base/store/hold_locks"), &[]).await?.get("key");
        let is_locked_out: bool = other.one(sql!("base/store/is_locked_out"), &[&key]).await?.get(0);
        drop(tx);
        // The locks end with their sessions.
        drop((Object::take(holder), Object::take(other)));
        if is_locked_out { Ok(()) } else { Err(Error::new(Kind::Internal, NO_LOCKS)) }
    }

    /// Refuses a pooler that shares sessions. One connection marks its session. While transactions hold the
    /// sessions found, no other connection may find the mark, and this one may not lose it.
    pub async fn check_sessions(&self) -> Result<()> {
        let shared = || Error::new(Kind::Internal, format!("{} {SHARED}", self.server.setting()));
        let refuse = |e| refuse(e, shared);
        let marked = self.client().await?;
        let mark = ask(&marked, sql!("base/store/mark_session")).await.map_err(refuse)?;
        let mut holding = Vec::new();
        for _ in 1..CONNECTIONS {
            let other = self.client().await?;
            other.batch_execute("BEGIN").await.map_err(refuse)?;
            let found = ask(&other, sql!("base/store/session_mark")).await.map_err(refuse)?;
            // Closed with its transaction at the end, also on errors.
            holding.push(Object::take(other));
            let still = ask(&marked, sql!("base/store/session_mark")).await.map_err(refuse)?;
            if found == mark || still != mark {
                return Err(shared());
            }
        }
        Ok(())
    }
}

/// The value of a statement over the simple protocol, which needs no session. Empty without one.
async fn ask(client: &Object, statement: &str) -> StdResult<String, tokio_postgres::Error> {
    let rows = client.simple_query(statement).await?;
    let value = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(value.unwrap_or_default())
}

/// A pooler in statement mode refuses transactions with a protocol violation.
fn refuse(e: tokio_postgres::Error, shared: impl Fn() -> Error) -> Error {
    match e.code() {
        Some(code) if code.code() == "08P01" => shared().because(e),
        _ => e.into(),
    }
}
