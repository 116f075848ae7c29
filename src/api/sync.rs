//! `/sync`: all that a client needs to sign in, in one call.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};

use super::conversations::{self, ConversationPage};
use super::messages::MessageView;
use super::wire::{LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery, Query, check_limit, write_cursor};
use super::{Api, Person};
use crate::base::error::{Error, Result};
use crate::base::number::{self, MsId};
use crate::records::history::{self, Unread, UnreadPage};

/// Unread messages in the answer when the caller gives no `newest`.
const NEWEST_DEFAULT: i64 = 99;

pub fn routes() -> Router<Api> {
    Router::new().route("/sync", get(sync)).route("/sync/messages", get(rest))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncQuery {
    newest: Option<i64>,
    limit: Option<i64>,
}

#[derive(Serialize)]
struct SyncView {
    /// Where the event stream begins, so that there is no hole between this answer and the stream.
    event_id: String,
    conversations: ConversationPage,
    messages: Page<MessageView>,
}

/// The `ms_id` below which the next page begins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Below {
    #[serde(with = "number::plain")]
    unread_below: MsId,
}

async fn sync(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<SyncQuery>,
) -> Result<Reply<SyncView>> {
    let newest = query.newest.unwrap_or(NEWEST_DEFAULT);
    if !(0..=LIMIT_MAX).contains(&newest) {
        return Err(Error::parameter("newest", format!("must be 0 to {LIMIT_MAX}")));
    }
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    // The position first: what is committed after it is in the stream, what was before it is in the answer.
    let event_id = api.streams.position().await?;
    let conversations = conversations::page_of(&api, &caller.user_id, None, limit).await?;
    let messages = if newest == 0 {
        Page { items: Vec::new(), next_cursor: None }
    } else {
        let whole = UnreadPage { reader: &caller.user_id, below: MsId::MAX, limit: newest as usize };
        page(history::unread(&api.store, api.archive(), whole, true).await?)
    };
    Ok(Reply(SyncView { event_id: event_id.to_string(), conversations, messages }))
}

/// The unread messages after those of `/sync`.
async fn rest(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<MessageView>>> {
    let limit = query.limit()?;
    let below = query.cursor::<Below>()?.map_or(MsId::MAX, |place| place.unread_below);
    let rest = UnreadPage { reader: &caller.user_id, below, limit: limit as usize };
    Ok(Reply(page(history::unread(&api.store, api.archive(), rest, false).await?)))
}

fn page(unread: Unread) -> Page<MessageView> {
    let next_cursor = unread.next.map(|unread_below| write_cursor(&Below { unread_below }));
    Page { items: unread.messages.into_iter().map(Into::into).collect(), next_cursor }
}
