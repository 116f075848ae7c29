//! `/users/{user_id}` and `/directory/edits`: edits of users, and their state at the source.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::wire::{Id, Json, Page, PageQuery, PathId, PathWord, Query, check_limit, read_cursor, rfc3339};
use super::wire::{LIMIT_DEFAULT, LIMIT_MAX};
use super::{Api, Authenticated, Now, Person};
use crate::base::error::{Error, Result};
use crate::identity::Role;
use crate::sync::edit::{Edit, EditState, Edited, Values};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/users/me", patch(edit_oneself))
        .route("/users/{user_id}", patch(edit))
        .route("/users/{user_id}/edits", get(list_of_person))
        .route("/directory/edits", get(list))
        .route("/directory/edits/{edit_id}/retry", post(retry))
        .route("/directory/edits/{edit_id}/cancel", post(cancel))
}

#[derive(Serialize)]
struct EditedView {
    user_id: String,
    /// The values in effect.
    applied: Values,
    edit: Option<EditView>,
}

#[derive(Serialize)]
struct EditView {
    edit_id: Id,
    user_id: String,
    attributes: Value,
    base: Value,
    theirs: Option<Value>,
    state: EditState,
    detail: Option<String>,
    attempts: i32,
    #[serde(with = "rfc3339::option")]
    due_at: Option<OffsetDateTime>,
    asked_by: String,
    #[serde(with = "rfc3339")]
    asked_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditQuery {
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl From<Edit> for EditView {
    fn from(edit: Edit) -> Self {
        Self {
            edit_id: Id(edit.edit_id),
            user_id: edit.user_id,
            attributes: edit.attributes,
            base: edit.base,
            theirs: edit.theirs,
            due_at: (edit.state == EditState::Waiting).then_some(edit.due_at),
            state: edit.state,
            detail: edit.detail,
            attempts: edit.attempts,
            asked_by: edit.asked_by,
            asked_at: edit.asked_at,
            ended_at: edit.ended_at,
        }
    }
}

fn edited(api: &Api, user_id: String, edited: Edited) -> (StatusCode, Reply<EditedView>) {
    if !edited.applied.is_empty() {
        api.followers.wake();
    }
    let status = if edited.edit.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let edit = edited.edit.map(Into::into);
    (status, Reply(EditedView { user_id, applied: edited.applied, edit }))
}

async fn edit_oneself(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(body): Json<Map<String, Value>>,
) -> Result<(StatusCode, Reply<EditedView>)> {
    let done = api.edits.edit_oneself(&caller.user_id, &Values::asked(body)?, now).await?;
    Ok(edited(&api, caller.user_id, done))
}

async fn edit(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(user_id): PathWord,
    Json(body): Json<Map<String, Value>>,
) -> Result<(StatusCode, Reply<EditedView>)> {
    caller.must_be(Role::Directory)?;
    let done = api.edits.edit(&user_id, &Values::asked(body)?, &caller.0.user_id, now).await?;
    Ok(edited(&api, user_id, done))
}

async fn list_of_person(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(user_id): PathWord,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<EditView>>> {
    if caller.0.user_id != user_id || caller.must_be(Role::User).is_err() {
        caller.must_be(Role::Directory)?;
    }
    let limit = page.limit()?;
    let found = api.edits.of_person(&user_id, page.cursor()?.unwrap_or(i64::MAX), limit).await?;
    Ok(Reply(page_of(found, limit)))
}

async fn list(
    State(api): State<Api>,
    caller: Authenticated,
    Query(query): Query<EditQuery>,
) -> Result<Reply<Page<EditView>>> {
    caller.must_be(Role::Directory)?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let state = match query.state.as_deref() {
        Some(name) => Some(EditState::parse(name).ok_or_else(unknown_state)?),
        None => None,
    };
    let before = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or(i64::MAX);
    let found = api.edits.list(state, before, limit).await?;
    Ok(Reply(page_of(found, limit)))
}

fn unknown_state() -> Error {
    let names: Vec<&str> = EditState::ALL.iter().map(|state| state.as_str()).collect();
    Error::parameter("state", format!("must be one of {}", names.join(", ")))
}

fn page_of(found: Vec<Edit>, limit: i64) -> Page<EditView> {
    Page::new(found.into_iter().map(Into::into).collect(), limit, |edit: &EditView| edit.edit_id.0)
}

async fn retry(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(edit_id): PathId<i64>,
) -> Result<Reply<EditView>> {
    caller.must_be(Role::Admin)?;
    Ok(Reply(api.edits.retry(edit_id, &caller.0.user_id, now).await?.into()))
}

async fn cancel(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(edit_id): PathId<i64>,
) -> Result<Reply<EditView>> {
    caller.must_be(Role::Admin)?;
    Ok(Reply(api.edits.cancel(edit_id, &caller.0.user_id, now).await?.into()))
}
