//! The history of a channel, page by page.

use axum::Json as Reply;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::MessageView;
use crate::api::wire::{LIMIT_MAX, Page, PathId, Query, check_limit, read_cursor, write_cursor};
use crate::api::{Api, Person};
use crate::archive::Order;
use crate::base::error::{Error, Result};
use crate::base::extra;
use crate::base::number::{self, ChannelId, MsId};
use crate::chat::message::{TOPIC_RULE, is_topic};
use crate::records::history::{Marked, MarkedPage, Message, Position, Reading};

const LIMIT_DEFAULT: i64 = 50;
/// Largest integer that JavaScript represents exactly.
const SEQ_MAX: i64 = (1 << 53) - 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    limit: Option<i64>,
    cursor: Option<String>,
    after_seq: Option<i64>,
    newest: Option<i64>,
    topic: Option<String>,
}

/// Direction and position at which the next page begins.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Cursor {
    Before {
        seq: i64,
        #[serde(with = "number::plain")]
        ms_id: MsId,
        after_seq: i64,
    },
    After {
        seq: i64,
        #[serde(with = "number::plain")]
        ms_id: MsId,
    },
    /// The messages of a topic before this one.
    Topic {
        topic: String,
        #[serde(with = "number::plain")]
        ms_id: MsId,
    },
}

impl Cursor {
    /// The page of older messages after this one, and the page of newer ones.
    pub fn older(message: &Message) -> Self {
        Self::Before { seq: message.seq, ms_id: message.ms_id, after_seq: 0 }
    }

    pub fn newer(message: &Message) -> Self {
        Self::After { seq: message.seq, ms_id: message.ms_id }
    }
}

pub async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(channel_id): PathId<ChannelId>,
    Query(query): Query<HistoryQuery>,
) -> Result<Reply<Page<MessageView>>> {
    let (api, query, reader) = (&api, &query, Some(caller.user_id.as_str()));
    let begin = begin(query)?;
    api.read_history(begin, move |store| async move {
        page(Reading { store: &store, archive: api.archive(), channel_id, reader }, query).await
    })
    .await
}

/// The message at which a page with a cursor begins.
fn begin(query: &HistoryQuery) -> Result<Option<MsId>> {
    let Some(cursor) = query.cursor.as_deref() else { return Ok(None) };
    Ok(Some(match read_cursor(cursor)? {
        Cursor::Before { ms_id, .. } | Cursor::After { ms_id, .. } | Cursor::Topic { ms_id, .. } => ms_id,
    }))
}

/// A page of a channel.
async fn page(reading: Reading<'_>, query: &HistoryQuery) -> Result<Reply<Page<MessageView>>> {
    let (start, limit) = page_start(query)?;
    let ((messages, full), next): (_, fn(&Message, i64) -> Cursor) = match start {
        Cursor::Topic { topic, ms_id } => return topic_page(reading, topic, ms_id, limit).await,
        Cursor::Before { seq, ms_id, after_seq } => {
            (reading.before(Position { seq, ms_id }, after_seq, limit).await?, |m, after_seq| {
                Cursor::Before { seq: m.seq, ms_id: m.ms_id, after_seq }
            })
        }
        Cursor::After { seq, ms_id } => {
            (reading.after(Position { seq, ms_id }, limit).await?, |m, _| Cursor::newer(m))
        }
    };
    let after_seq = if let Cursor::Before { after_seq, .. } = start { after_seq } else { 0 };
    // `newest` has no next page, unless the archive did not answer.
    let goes_on = full && (query.newest.is_none() || (messages.len() as i64) < limit);
    let next_cursor = messages.last().filter(|_| goes_on).map(|last| write_cursor(&next(last, after_seq)));
    Ok(Reply(Page { items: messages, next_cursor }.map(Into::into)))
}

/// A page of the messages of a channel with a topic, newest first.
async fn topic_page(
    reading: Reading<'_>,
    topic: String,
    below: MsId,
    limit: i64,
) -> Result<Reply<Page<MessageView>>> {
    let mark = extra::topic_mark_in(reading.channel_id, &topic);
    let cold_mark = extra::topic_mark(&topic);
    let marked = Marked { mark, cold_mark, reading: Some(reading), order: Order::Newest, above: MsId(0) };
    let MarkedPage { messages, next } =
        marked.page(reading.store, reading.archive, Some(below), limit).await?;
    let next_cursor = next.map(|ms_id| write_cursor(&Cursor::Topic { topic, ms_id }));
    Ok(Reply(Page { items: messages.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Where a page begins, and its most messages.
fn page_start(query: &HistoryQuery) -> Result<(Cursor, i64)> {
    if query.after_seq.is_some_and(|seq| !(0..=SEQ_MAX).contains(&seq)) {
        return Err(Error::parameter("after_seq", "must be 0 to 2^53 - 1"));
    }
    let Position { seq, ms_id } = Position::END;
    if let Some(topic) = &query.topic {
        return Ok((of_topic(query, topic)?, check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?));
    }
    let start = match (&query.cursor, query.after_seq, query.newest) {
        (Some(_), None, Some(_)) | (Some(_), Some(_), _) => {
            return Err(Error::parameter("cursor", "cannot be combined with `after_seq` or `newest`"));
        }
        (None, None, Some(_)) => return Err(Error::parameter("newest", "requires `after_seq`")),
        (None, Some(_), Some(_)) if query.limit.is_some() => {
            return Err(Error::parameter("limit", "cannot be combined with `newest`"));
        }
        (Some(cursor), None, None) => read_cursor(cursor)?,
        (None, Some(after_seq), Some(newest)) => {
            if !(1..=LIMIT_MAX).contains(&newest) {
                return Err(Error::parameter("newest", format!("must be 1 to {LIMIT_MAX}")));
            }
            return Ok((Cursor::Before { seq, ms_id, after_seq }, newest));
        }
        (None, Some(after_seq), None) => Cursor::After { seq: after_seq, ms_id: Position::START.ms_id },
        (None, None, None) => Cursor::Before { seq, ms_id, after_seq: 0 },
    };
    Ok((start, check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?))
}

/// Where a page of a topic begins. The cursor names the topic too, so a call may give it or not.
fn of_topic(query: &HistoryQuery, topic: &str) -> Result<Cursor> {
    if query.after_seq.is_some() || query.newest.is_some() {
        return Err(Error::parameter("topic", "cannot be combined with `after_seq` or `newest`"));
    }
    if !is_topic(topic) {
        return Err(Error::parameter("topic", TOPIC_RULE));
    }
    match query.cursor.as_deref().map(read_cursor).transpose()? {
        None => Ok(Cursor::Topic { topic: topic.to_owned(), ms_id: Position::END.ms_id }),
        Some(Cursor::Topic { topic: named, ms_id }) if named == topic => {
            Ok(Cursor::Topic { topic: named, ms_id })
        }
        Some(_) => Err(Error::parameter(
            "cursor",
            "is of a page without this `topic`: give the `next_cursor` of a page with it",
        )),
    }
}
