//! The table of edits.

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{EditState, Values};
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;
use crate::sync::run;

/// An edit as it is shown.
#[derive(Debug)]
pub struct Edit {
    pub edit_id: i64,
    pub user_id: String,
    pub attributes: Value,
    pub base: Value,
    pub theirs: Option<Value>,
    pub state: EditState,
    pub detail: Option<String>,
    pub attempts: i32,
    pub due_at: OffsetDateTime,
    pub asked_by: String,
    pub asked_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

impl Edit {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            edit_id: row.get("edit_id"),
            user_id: row.get("user_id"),
            attributes: row.get("attributes"),
            base: row.get("base"),
            theirs: row.get("theirs"),
            state: EditState::from_db(row.get("state"))?,
            detail: row.get("detail"),
            attempts: row.get("attempts"),
            due_at: row.get("due_at"),
            asked_by: row.get("asked_by"),
            asked_at: row.get("asked_at"),
            ended_at: row.get("ended_at"),
        })
    }
}

/// A user's record here.
#[derive(Debug)]
pub(super) struct EditedUser {
    pub user_id: String,
    pub source: String,
    pub external_id: String,
    pub source_version: Option<String>,
    /// Incremented with every change here.
    pub version: i64,
    pub values: Values,
    /// Number of edits that have not ended.
    pub pending: i64,
}

/// An edit to queue for a source.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub person: &'a EditedUser,
    pub attributes: &'a Values,
    pub asked_by: &'a str,
    pub now: OffsetDateTime,
}

/// The resolved names of an edit.
pub(super) struct Names {
    pub manager: Option<String>,
    /// From 1: the first department that does not exist.
    pub unknown_at: Option<i64>,
}

/// An attempt that this replica makes.
#[derive(Debug)]
pub(super) struct EditClaim {
    pub edit_id: i64,
    pub user_id: String,
    pub source: String,
    pub attributes: Values,
    pub base: Values,
    /// The number of the attempt.
    pub attempt: i32,
    pub failures: i32,
    pub give_up_at: OffsetDateTime,
}

/// The end of an attempt.
pub(super) struct End<'a> {
    pub state: EditState,
    pub detail: Option<&'a str>,
    pub theirs: Option<(&'a Values, Option<&'a str>)>,
    pub due_at: OffsetDateTime,
    /// Whether the source's record of the user was read, and is or will be applied.
    pub heard: bool,
}

/// # Errors
/// `NotFound`
pub(super) async fn person(tx: &Transaction<'_>, user_id: &str) -> Result<EditedUser> {
    let row = tx.opt(sql!("sync/edit/person"), &[&user_id]).await?;
    let row = row.ok_or_else(|| Error::not_found("no such user"))?;
    Ok(EditedUser {
        user_id: row.get("user_id"),
        source: row.get("source"),
        external_id: row.get("external_id"),
        source_version: row.get("source_version"),
        version: row.get("version"),
        values: values(&row, "attributes"),
        pending: row.get("pending"),
    })
}

fn values(row: &Row, column: &str) -> Values {
    let Json(map): Json<Map<String, Value>> = row.get(column);
    Values::kept(map)
}

pub(super) async fn names(
    tx: &Transaction<'_>,
    source: &str,
    manager: Option<&str>,
    departments: &[String],
) -> Result<Names> {
    let row = tx.one(sql!("sync/edit/names"), &[&source, &manager, &departments]).await?;
    Ok(Names { manager: row.get("manager"), unknown_at: row.get("unknown_at") })
}

pub(super) async fn ask(tx: &Transaction<'_>, ask: Ask<'_>, give_up_at: OffsetDateTime) -> Result<Edit> {
    let Ask { person, attributes, asked_by, now } = ask;
    let base = attributes.among(&person.values);
    let row = tx
        .one(
            sql!("sync/edit/ask"),
            &[
                &person.user_id,
                &person.source,
                &Json(attributes),
                &Json(base),
                &person.source_version,
                &asked_by,
                &now,
                &give_up_at,
            ],
        )
        .await?;
    Edit::of(&row)
}

pub(super) async fn claim(
    store: &Store,
    now: OffsetDateTime,
    until: OffsetDateTime,
    give_up_at: OffsetDateTime,
) -> Result<Option<EditClaim>> {
    Ok(store.opt(sql!("sync/edit/claim"), &[&now, &until, &give_up_at]).await?.map(|row| EditClaim {
        edit_id: row.get("edit_id"),
        user_id: row.get("user_id"),
        source: row.get("source"),
        attributes: values(&row, "attributes"),
        base: values(&row, "base"),
        attempt: row.get("attempts"),
        failures: row.get("failures"),
        give_up_at: row.get("give_up_at"),
    }))
}

/// Locks an attempt until `tx` ends, and returns the newest version of the user here. None if another replica
/// has taken over.
pub(super) async fn hold(tx: &Transaction<'_>, claim: &EditClaim) -> Result<Option<i64>> {
    Ok(tx.opt(sql!("sync/edit/hold"), &[&claim.edit_id, &claim.attempt]).await?.map(|row| row.get(0)))
}

pub(super) async fn end(
    tx: &Transaction<'_>,
    edit_id: i64,
    end: &End<'_>,
    now: OffsetDateTime,
) -> Result<()> {
    let (theirs, version) = end.theirs.unzip();
    let (theirs, version) = (theirs.map(Json), version.flatten());
    let End { state, detail, due_at, heard, .. } = end;
    tx.run(
        sql!("sync/edit/end"),
        &[&edit_id, &state.as_str(), detail, &theirs, &version, due_at, heard, &now],
    )
    .await?;
    Ok(())
}

/// Makes the next run read a user again.
pub(super) async fn name_changed(tx: &Transaction<'_>, external_id: &str) -> Result<()> {
    run::name_changed_in(tx, &[external_id], &[]).await
}

/// # Errors
/// `NotFound`
pub(super) async fn get(store: &Store, edit_id: i64) -> Result<Edit> {
    let row = store.opt(sql!("sync/edit/get"), &[&edit_id]).await?;
    row.as_ref().map(Edit::of).ok_or_else(|| Error::not_found("no such edit"))?
}

pub(super) async fn of_person(store: &Store, user_id: &str, before: i64, limit: i64) -> Result<Vec<Edit>> {
    let rows = store.all(sql!("sync/edit/edits_of"), &[&user_id, &before, &limit]).await?;
    rows.iter().map(Edit::of).collect()
}

pub(super) async fn list(store: &Store, states: &[&str], before: i64, limit: i64) -> Result<Vec<Edit>> {
    let rows = store.all(sql!("sync/edit/edits"), &[&states, &before, &limit]).await?;
    rows.iter().map(Edit::of).collect()
}

pub(super) async fn retry(
    tx: &Transaction<'_>,
    edit_id: i64,
    now: OffsetDateTime,
    give_up_at: OffsetDateTime,
) -> Result<bool> {
    Ok(tx.run(sql!("sync/edit/retry"), &[&edit_id, &now, &give_up_at]).await? > 0)
}

pub(super) async fn cancel(
    tx: &Transaction<'_>,
    edit_id: i64,
    admin: &str,
    now: OffsetDateTime,
) -> Result<bool> {
    let detail = format!("by {admin}");
    Ok(tx.run(sql!("sync/edit/cancel"), &[&edit_id, &detail, &now]).await? > 0)
}

/// Deletes a batch of edits that ended long ago. Returns how many.
pub async fn prune(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("sync/edit/prune"), &[&before, &most]).await
}
