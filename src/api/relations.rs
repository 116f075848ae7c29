//! `/users/me/relations`: friends, friend requests, follows and blocks of the caller.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::channels::given;
use super::wire::{Json, LIMIT_DEFAULT, LIMIT_MAX, Page, PathWord, Query, check_limit, read_cursor, rfc3339};
use super::{Api, Now, Person, Viewer};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::people::relation::{self, Between, Notes, Relation, RelationKind, Step};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/users/me/relations", get(list))
        .route("/users/me/relations/{user_id}", get(show).put(begin).delete(end).patch(note))
        .route("/users/me/relations/{user_id}/accept", post(accept))
        .route("/users/me/relations/{user_id}/decline", post(decline))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    kind: String,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndQuery {
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    kind: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotesChange {
    #[serde(default, deserialize_with = "given")]
    remark: Option<Option<String>>,
    tags: Option<Vec<String>>,
}

#[derive(Serialize)]
struct RelationView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    active: bool,
    kinds: Vec<RelationKind>,
    message: Option<String>,
    remark: Option<String>,
    tags: Vec<String>,
    #[serde(with = "rfc3339")]
    changed_at: OffsetDateTime,
}

/// A relation beside a user in a list of contacts, or on a card.
#[derive(Serialize)]
pub(super) struct RelationNote {
    kinds: Vec<RelationKind>,
    remark: Option<String>,
    tags: Vec<String>,
}

impl From<Relation> for RelationView {
    fn from(r: Relation) -> Self {
        Self {
            user_id: r.other_id,
            name: r.name,
            head_icon: r.head_icon,
            active: r.active,
            kinds: r.kinds,
            message: r.message,
            remark: r.remark,
            tags: r.tags,
            changed_at: r.changed_at,
        }
    }
}

impl From<Relation> for RelationNote {
    fn from(r: Relation) -> Self {
        Self { kinds: r.kinds, remark: r.remark, tags: r.tags }
    }
}

async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<ListQuery>,
) -> Result<Reply<Page<RelationView>>> {
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let kind = query.kind.as_deref().map(|kind| {
        let known = "must be friend, request_sent, request_received, follow, follower or block";
        RelationKind::parse(kind).ok_or_else(|| Error::parameter("kind", known))
    });
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let relations = relation::list(&api.store, &caller.user_id, kind.transpose()?, (&after, limit)).await?;
    let page = Page::new(relations, limit, |r: &Relation| r.other_id.clone());
    Ok(Reply(page.map(Into::into)))
}

async fn show(
    State(api): State<Api>,
    Person(caller): Person,
    PathWord(other): PathWord,
) -> Result<Reply<RelationView>> {
    shown(&api, &caller.user_id, &other).await
}

/// The relation, for a caller who has one.
async fn shown(api: &Api, user_id: &str, other: &str) -> Result<Reply<RelationView>> {
    check_other(other)?;
    let mut found = relation::of_user(&api.store, user_id, &[other]).await?;
    found.remove(other).map(|relation| Reply(relation.into())).ok_or_else(relation::no_relation)
}

fn check_other(other: &str) -> Result<()> {
    check_id(other).map_err(|_| Error::not_found("no such user"))
}

async fn begin(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathWord(other): PathWord,
    Json(begin): Json<Begin>,
) -> Result<Reply<RelationView>> {
    let Begin { kind, message } = begin;
    let step = match (kind.as_str(), message) {
        ("friend", message) => Step::Ask(message),
        ("follow" | "block", Some(_)) => {
            return Err(Error::field("/message", "goes with a friend request only: leave it out"));
        }
        ("follow", None) => Step::Follow,
        ("block", None) => Step::Block,
        _ => return Err(Error::field("/kind", "must be friend, follow or block")),
    };
    check_other(&other)?;
    let Viewer(viewer) = Viewer::of(&api, &caller).await?;
    relation::check_visible(&api.store, viewer.external(), &other).await?;
    let between = Between { user_id: &caller.user_id, other_id: &other };
    relation::change(&api.store, between, &step, &api.config.people, now).await?;
    shown(&api, &caller.user_id, &other).await
}

async fn end(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathWord(other): PathWord,
    Query(query): Query<EndQuery>,
) -> Result<StatusCode> {
    let step = match query.kind.as_str() {
        "friend" => Step::EndFriend,
        "follow" => Step::EndFollow,
        "block" => Step::EndBlock,
        _ => return Err(Error::parameter("kind", "must be friend, follow or block")),
    };
    check_other(&other)?;
    let between = Between { user_id: &caller.user_id, other_id: &other };
    relation::change(&api.store, between, &step, &api.config.people, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn accept(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathWord(other): PathWord,
) -> Result<Reply<RelationView>> {
    check_other(&other)?;
    let between = Between { user_id: &caller.user_id, other_id: &other };
    relation::change(&api.store, between, &Step::Accept, &api.config.people, now).await?;
    shown(&api, &caller.user_id, &other).await
}

async fn decline(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathWord(other): PathWord,
) -> Result<StatusCode> {
    check_other(&other)?;
    let between = Between { user_id: &caller.user_id, other_id: &other };
    relation::change(&api.store, between, &Step::Decline, &api.config.people, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn note(
    State(api): State<Api>,
    Person(caller): Person,
    PathWord(other): PathWord,
    Json(change): Json<NotesChange>,
) -> Result<Reply<RelationView>> {
    check_other(&other)?;
    let notes = Notes { remark: change.remark, tags: change.tags };
    let between = Between { user_id: &caller.user_id, other_id: &other };
    relation::note(&api.store, between, &notes, api.config.people.relation_tags_max).await?;
    shown(&api, &caller.user_id, &other).await
}
