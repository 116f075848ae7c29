//! Favourites: messages that a user has marked. They keep a copy, so that no archive is needed to show them.

use postgres_types::Json;
use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::base::error::{Error, Kind, Result};
use crate::base::number::MsId;
use crate::base::store::{Statements, Store};
use crate::records::history::{self, Message};
use crate::sql;

/// A message that a user has marked.
#[derive(Debug)]
pub struct Favourite {
    pub favourite_id: i64,
    pub message: Message,
    pub note: Option<String>,
    pub added_at: OffsetDateTime,
}

/// Adds a message to a user's favourites, with a copy of it, or changes the note of a favourite.
pub async fn put(
    store: &Store,
    user_id: &str,
    message: &Message,
    note: Option<&str>,
    most: u32,
) -> Result<()> {
    let Message { ms_id, channel_id, seq, sender, server_time, ms_type, content, extra, .. } = message;
    let now = store.now().await?;
    let added = store
        .opt(
            sql!("records/favourite/put"),
            &[
                &user_id,
                ms_id,
                channel_id,
                seq,
                sender,
                server_time,
                ms_type,
                content,
                &Json(extra),
                &note,
                &now,
                &i64::from(most),
            ],
        )
        .await?;
    let full = || Error::new(Kind::Conflict, format!("you have {most} favourites: remove some of them"));
    added.map(|_| ()).ok_or_else(full)
}

/// Changes the note of a favourite. Returns whether there is one.
pub async fn note(store: &Store, user_id: &str, ms_id: MsId, note: Option<&str>) -> Result<bool> {
    Ok(store.run(sql!("records/favourite/note"), &[&user_id, &ms_id, &note]).await? > 0)
}

/// Removes a favourite. A second call changes nothing.
pub async fn remove(store: &Store, user_id: &str, ms_id: MsId) -> Result<()> {
    store.run(sql!("records/favourite/remove"), &[&user_id, &ms_id]).await?;
    Ok(())
}

/// A user's favourites below `below`, the last one added first.
pub async fn list(store: &Store, user_id: &str, below: Option<i64>, limit: i64) -> Result<Vec<Favourite>> {
    let (below, none) = (below.unwrap_or(i64::MAX), None::<MsId>);
    let rows = store.all(sql!("records/favourite/list"), &[&user_id, &below, &none, &limit]).await?;
    Ok(rows.iter().map(favourite).collect())
}

/// A user's favourite by its message.
pub async fn get(store: &Store, user_id: &str, ms_id: MsId) -> Result<Option<Favourite>> {
    let row = store.opt(sql!("records/favourite/list"), &[&user_id, &i64::MAX, &Some(ms_id), &1_i64]).await?;
    Ok(row.as_ref().map(favourite))
}

fn favourite(row: &Row) -> Favourite {
    Favourite {
        favourite_id: row.get("favourite_id"),
        message: history::message(row),
        note: row.get("note"),
        added_at: row.get("added_at"),
    }
}
