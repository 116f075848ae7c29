//! What connects messages: the replies to one, the topics of a channel, and the caller's messages with a reference.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::messages::MessageView;
use super::wire::{
    LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery, PathId, Query, check_limit, read_cursor, rfc3339, write_cursor,
};
use super::{Api, Person};
use crate::archive::Order;
use crate::base::error::{Error, Result};
use crate::base::extra::{ref_mark, reply_mark};
use crate::base::number::{self, ChannelId, MsId};
use crate::chat::message::{REF_RULE, is_ref};
use crate::records::history::{self, Marked, MarkedPage, Reading, Topic};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/messages", get(with_ref))
        .route("/messages/{ms_id}/replies", get(replies))
        .route("/channels/{channel_id}/topics", get(topics))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefQuery {
    #[serde(rename = "ref")]
    reference: String,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The last message of a page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    #[serde(with = "number::plain")]
    ms_id: MsId,
}

#[derive(Serialize)]
struct TopicView {
    topic: String,
    last_seq: i64,
    last_ms_id: MsId,
    #[serde(with = "rfc3339")]
    last_at: OffsetDateTime,
}

impl From<Topic> for TopicView {
    fn from(topic: Topic) -> Self {
        let Topic { topic, last_seq, last_ms_id, last_at } = topic;
        Self { topic, last_seq, last_ms_id, last_at }
    }
}

async fn replies(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<MessageView>>> {
    let limit = page.limit()?;
    let after = page.cursor::<Last>()?.map(|last| last.ms_id);
    let missing = || Error::not_found("no such message");
    let (api, reader) = (&api, Some(caller.user_id.as_str()));
    let replies = api.read_history(Some(ms_id), move |store| async move {
        let found = history::locate(&store, api.archive(), ms_id).await?;
        let (channel_id, place) = found.ok_or_else(missing)?;
        let reading = Reading { store: &store, archive: api.archive(), channel_id, reader };
        if !reading.sees(place).await? {
            return Err(missing());
        }
        let (mark, cold_mark) = (reply_mark(ms_id), reply_mark(ms_id));
        let marked = Marked { mark, cold_mark, reading: Some(reading), order: Order::Oldest, above: ms_id };
        marked.page(&store, api.archive(), after, limit).await
    });
    Ok(page_of(replies.await?))
}

async fn with_ref(
    State(api): State<Api>,
    Person(caller): Person,
    Query(query): Query<RefQuery>,
) -> Result<Reply<Page<MessageView>>> {
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let before: Option<Last> = query.cursor.as_deref().map(read_cursor).transpose()?;
    if !is_ref(&query.reference) {
        return Err(Error::parameter("ref", REF_RULE));
    }
    let mark = ref_mark(&caller.user_id, &query.reference);
    let marked =
        Marked { cold_mark: mark.clone(), mark, reading: None, order: Order::Newest, above: MsId(0) };
    let page = marked.page(&api.store, api.archive(), before.map(|last| last.ms_id), limit);
    Ok(page_of(page.await?))
}

fn page_of(MarkedPage { messages, next }: MarkedPage) -> Reply<Page<MessageView>> {
    let next_cursor = next.map(|ms_id| write_cursor(&Last { ms_id }));
    Reply(Page { items: messages.into_iter().map(Into::into).collect(), next_cursor })
}

async fn topics(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(channel_id): PathId<ChannelId>,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<TopicView>>> {
    let limit = page.limit()?;
    let below = page.cursor::<Last>()?.map(|last| last.ms_id);
    let reader = Some(caller.user_id.as_str());
    let reading = Reading { store: &api.store, archive: api.archive(), channel_id, reader };
    let found = history::topics(reading, below, limit).await?;
    let page = Page::new(found, limit, |topic: &Topic| Last { ms_id: topic.last_ms_id });
    Ok(Reply(page.map(Into::into)))
}
