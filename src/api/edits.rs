//! `/users/{user_id}` and `/directory/edits`: edits of users, and their state at the source.

use axum::extract::{MatchedPath, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::accounts::BESIDE_USERS;
use super::wire::{Id, Json, Page, PageQuery, PathId, PathWord, Query, check_limit, read_cursor, rfc3339};
use super::wire::{LIMIT_DEFAULT, LIMIT_MAX};
use super::{Api, Authenticated, Now, Person};
use crate::accounts::profile;
use crate::base::error::{Error, Kind, Result};
use crate::identity::Role;
use crate::sync::edit::{Edit, EditState, Edited, Values};

/// What a user with an account does not decide: the place in the company, and the name for sign-in.
const NOT_OWN: [&str; 5] = ["active", "login_name", "employee_number", "manager", "department_ids"];

pub fn routes() -> Router<Api> {
    let routes = Router::new()
        .route("/users/me", patch(edit_oneself))
        .route("/users/{user_id}", patch(edit))
        .route("/users/{user_id}/edits", get(list_of_person))
        .route("/directory/edits", get(list))
        .route("/directory/edits/{edit_id}/retry", post(retry))
        .route("/directory/edits/{edit_id}/cancel", post(cancel));
    BESIDE_USERS
        .iter()
        .fold(routes, |routes, id| routes.route(&format!("/users/{id}"), patch(edit_beside_call)))
}

#[derive(Serialize)]
struct EditedView {
    user_id: String,
    /// The values in effect.
    applied: Map<String, Value>,
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
    let applied = edited.applied.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    (status, Reply(EditedView { user_id, applied, edit }))
}

async fn edit_oneself(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(body): Json<Map<String, Value>>,
) -> Result<(StatusCode, Reply<EditedView>)> {
    // An application with a token signs in without an account, also where people have one.
    if caller.session_id.is_some() {
        return edit_account(&api, caller.user_id, body, now).await;
    }
    let done = api.edits.edit_oneself(&caller.user_id, &Values::asked(body)?, now).await?;
    Ok(edited(&api, caller.user_id, done))
}

/// Users with an account own their record: what they say about themselves, and these attributes.
async fn edit_account(
    api: &Api,
    user_id: String,
    mut body: Map<String, Value>,
    now: OffsetDateTime,
) -> Result<(StatusCode, Reply<EditedView>)> {
    let change = profile::Change::take(&mut body, now)?;
    if let Some(attribute) = body.keys().find(|name| NOT_OWN.contains(&name.as_str())) {
        let why = "users cannot edit this attribute: ask an administrator";
        return Err(Error::new(Kind::Forbidden, why).at(format!("/{attribute}")));
    }
    let mut answer = None;
    if !body.is_empty() || change.is_empty() {
        let values = Values::asked(body)?;
        if !change.is_empty() && profile::get(&api.store, &user_id).await?.is_none() {
            return Err(Error::not_found("no such account"));
        }
        answer = Some(edited(api, user_id.clone(), api.edits.edit(&user_id, &values, &user_id, now).await?));
    }
    if !change.is_empty() {
        profile::change(&api.store, &user_id, &change).await?;
    }
    let none = || (StatusCode::OK, Reply(EditedView { user_id, applied: Map::new(), edit: None }));
    let (status, Reply(mut view)) = answer.unwrap_or_else(none);
    view.applied.extend(change.values().clone());
    Ok((status, Reply(view)))
}

async fn edit_beside_call(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    path: MatchedPath,
    body: Json<Map<String, Value>>,
) -> Result<(StatusCode, Reply<EditedView>)> {
    let user_id = path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    edit(State(api), caller, Now(now), PathWord(user_id), body).await
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
