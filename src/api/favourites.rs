//! `/users/me/favourites`: messages that a user has marked, each with a copy.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::messages::MessageView;
use super::wire::{MaybeJson, Page, PageQuery, PathId, Query, rfc3339};
use super::{Api, Person};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::MsId;
use crate::base::text::is_blank;
use crate::records::favourite::{self, Favourite};
use crate::records::history;

const NOTE_MAX_CHARS: usize = 1_000;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/users/me/favourites", get(list))
        .route("/users/me/favourites/{ms_id}", get(show).put(put).delete(remove))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    note: Option<String>,
}

#[derive(Serialize)]
struct FavouriteView {
    message: MessageView,
    note: Option<String>,
    #[serde(with = "rfc3339")]
    added_at: OffsetDateTime,
}

/// The last favourite of a page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    favourite_id: i64,
}

impl From<Favourite> for FavouriteView {
    fn from(favourite: Favourite) -> Self {
        let Favourite { message, note, added_at, .. } = favourite;
        Self { message: message.into(), note, added_at }
    }
}

async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<FavouriteView>>> {
    let limit = page.limit()?;
    let below = page.cursor::<Last>()?.map(|last| last.favourite_id);
    let found = favourite::list(&api.store, &caller.user_id, below, limit).await?;
    let page = Page::new(found, limit, |one: &Favourite| Last { favourite_id: one.favourite_id });
    Ok(Reply(page.map(Into::into)))
}

async fn show(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
) -> Result<Reply<FavouriteView>> {
    let found = favourite::get(&api.store, &caller.user_id, ms_id).await?;
    found.map(|found| Reply(found.into())).ok_or_else(|| Error::not_found("no such favourite"))
}

/// The note of a favourite can change when the message can no longer be seen.
async fn put(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
    MaybeJson(Wish { note }): MaybeJson<Wish>,
) -> Result<Reply<FavouriteView>> {
    let note = note.as_deref();
    let fits = |note: &str| note.chars().count() <= NOTE_MAX_CHARS && !is_blank(note) && !note.contains('\0');
    if !note.is_none_or(fits) {
        let must = "must have 1 to 1,000 characters, at least one of them visible, without U+0000";
        return Err(Error::field("/note", must));
    }
    let user_id = &caller.user_id;
    if !favourite::note(&api.store, user_id, ms_id, note).await? {
        let message = history::seen(&api.store, api.archive(), user_id, ms_id).await?;
        if message.recalled.is_some() {
            return Err(Error::new(Kind::Conflict, "the message was recalled"));
        }
        favourite::put(&api.store, user_id, &message, note, api.config.chat.favourites_max).await?;
    }
    let found = favourite::get(&api.store, user_id, ms_id).await?;
    found.map(|found| Reply(found.into())).ok_or_else(|| Error::not_found("no such favourite"))
}

async fn remove(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
) -> Result<StatusCode> {
    favourite::remove(&api.store, &caller.user_id, ms_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
