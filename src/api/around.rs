//! `/messages/{ms_id}`: one message, with the messages around it.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};

use super::messages::{Cursor, MessageView};
use super::wire::{PathId, Query, write_cursor};
use super::{Api, Person};
use crate::base::error::{Error, Result};
use crate::base::number::MsId;
use crate::records::history::{self, Around, Message, Reading};

/// Most messages on each side.
const AROUND_MAX: i64 = 100;

pub fn routes() -> Router<Api> {
    Router::new().route("/messages/{ms_id}", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    around: Option<i64>,
}

/// Messages around one, newest first, and where the channel goes on in both directions.
#[derive(Serialize)]
pub struct AroundView {
    /// The place of the message in `items`, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    items: Vec<MessageView>,
    older_cursor: Option<String>,
    newer_cursor: Option<String>,
}

impl AroundView {
    /// A page of a channel, newest first, after which older or newer messages may follow.
    pub fn of(messages: Vec<Message>, older: bool, newer: bool) -> Self {
        let oldest = messages.last().filter(|_| older).map(Cursor::older);
        let newest = messages.first().filter(|_| newer).map(Cursor::newer);
        Self {
            position: None,
            older_cursor: oldest.map(|cursor| write_cursor(&cursor)),
            newer_cursor: newest.map(|cursor| write_cursor(&cursor)),
            items: messages.into_iter().map(Into::into).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }
}

impl From<Around> for AroundView {
    fn from(Around { messages, at, older, newer }: Around) -> Self {
        Self { position: Some(at), ..Self::of(messages, older, newer) }
    }
}

async fn show(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
    Query(query): Query<ShowQuery>,
) -> Result<Reply<AroundView>> {
    let each = query.around.unwrap_or(0);
    if !(0..=AROUND_MAX).contains(&each) {
        return Err(Error::parameter("around", format!("must be 0 to {AROUND_MAX}")));
    }
    let missing = || Error::not_found("no such message");
    let (api, reader) = (&api, Some(caller.user_id.as_str()));
    let around = api.read_history(Some(ms_id), move |store| async move {
        let found = history::locate(&store, api.archive(), ms_id).await?;
        let (channel_id, place) = found.ok_or_else(missing)?;
        let reading = Reading { store: &store, archive: api.archive(), channel_id, reader };
        reading.around(place, each).await?.ok_or_else(missing)
    });
    Ok(Reply(around.await?.into()))
}
