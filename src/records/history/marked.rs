//! The messages that carry a mark: replies to a message, messages with a topic or with a reference. Hot ones come from
//! PostgreSQL, cold ones from the archive.

use time::OffsetDateTime;

use super::{Hot, Message, Reading, hot, messages};
use crate::archive::reconcile::{self, Needs};
use crate::archive::{self, Archive, Find, Order, Span};
use crate::base::error::Result;
use crate::base::number::MsId;
use crate::base::store::{Statements, Store};
use crate::sql;

/// Most reads of the archive for one page. A page with few messages ends there, and its cursor continues.
const LOOKS_MAX: usize = 20;

/// Messages with a mark.
#[derive(Clone)]
pub struct Marked<'a> {
    /// A mark of [`crate::base::extra`], as hot messages have it.
    pub mark: String,
    /// The same mark as the archive has it.
    pub cold_mark: String,
    /// The channel and its reader; none: every message with the mark.
    pub reading: Option<Reading<'a>>,
    /// The oldest or the newest first.
    pub order: Order,
    /// All of them are above this ms_id.
    pub above: MsId,
}

/// A page of messages with a mark.
#[derive(Debug)]
pub struct MarkedPage {
    pub messages: Vec<Message>,
    /// The last message that was looked at, if more may follow.
    pub next: Option<MsId>,
}

/// A topic of a channel, with its last message.
#[derive(Debug)]
pub struct Topic {
    pub topic: String,
    pub last_seq: i64,
    pub last_ms_id: MsId,
    pub last_at: OffsetDateTime,
}

impl Marked<'_> {
    /// Up to `limit` messages after the last one of the page before, in the order.
    pub async fn page(
        &self,
        store: &Store,
        archive: Option<&dyn Archive>,
        after: Option<MsId>,
        limit: i64,
    ) -> Result<MarkedPage> {
        let spans = match &self.reading {
            Some(reading) => Some(reading.spans().await?),
            None => None,
        };
        let (above, below) = match self.order {
            Order::Oldest => (after.unwrap_or(self.above).max(self.above), MsId::MAX),
            Order::Newest => (self.above, after.unwrap_or(MsId::MAX)),
        };
        let Hot { horizon, messages: hot } = self.hot(store, (above, below), limit).await?;
        let below = below.min(horizon);
        let all_is_hot = above.next() >= below;
        let enough = self.order == Order::Newest && hot.len() as i64 >= limit;
        if all_is_hot || enough || spans.as_ref().is_some_and(Vec::is_empty) {
            return Ok(MarkedPage::of(hot, limit));
        }
        let rest = match self.order {
            Order::Oldest => limit as usize,
            Order::Newest => limit as usize - hot.len(),
        };
        let MarkedPage { messages: cold, next } =
            self.cold(store, archive, (spans, above, below), rest).await?;
        let (mut found, last) = match self.order {
            Order::Oldest => (cold, hot),
            Order::Newest => (hot, cold),
        };
        match (self.order, next) {
            // Messages of the archive may lie between: the hot ones are for a later page.
            (Order::Oldest, Some(_)) => {}
            _ => found.extend(last),
        }
        found.truncate(limit as usize);
        Ok(if next.is_some() { MarkedPage { messages: found, next } } else { MarkedPage::of(found, limit) })
    }

    async fn hot(&self, store: &Store, (above, below): (MsId, MsId), limit: i64) -> Result<Hot> {
        let channel_id = self.reading.map(|reading| reading.channel_id);
        let reader = self.reading.and_then(|reading| reading.reader);
        let oldest = self.order == Order::Oldest;
        let rows = store
            .all(
                sql!("records/history/marked"),
                &[&self.mark, &channel_id, &reader, &below, &above, &oldest, &limit],
            )
            .await?;
        hot(rows)
    }

    /// Messages of the archive. `next` is set only if the page ends before it is full.
    async fn cold(
        &self,
        store: &Store,
        archive: Option<&dyn Archive>,
        (spans, above, below): (Option<Vec<Span>>, MsId, MsId),
        limit: usize,
    ) -> Result<MarkedPage> {
        let archive = archive.ok_or_else(archive::not_configured)?;
        let reader = self.reading.and_then(|reading| reading.reader);
        let mut find = Find {
            spans,
            marks: vec![vec![self.cold_mark.clone()]],
            from: above.next(),
            below,
            order: self.order,
            ledger: false,
            ..Find::newest(limit)
        };
        let (mut found, mut ended) = (Vec::new(), false);
        for _ in 0..LOOKS_MAX {
            find.limit = limit - found.len();
            let documents = archive.find(&find).await?;
            ended = documents.len() < find.limit;
            find.after = documents.last().map(|last| (last.ms_id, last.part)).or(find.after);
            let read = messages(store, documents, reader).await?;
            // A message that was recalled since carries nothing.
            found.extend(read.into_iter().filter(|message| message.recalled.is_none()));
            if ended || found.len() >= limit {
                break;
            }
        }
        let last = find.after.filter(|_| !ended).map(|(ms_id, _)| ms_id);
        let looked_at = match self.order {
            Order::Oldest => (find.from, last.map_or(below, MsId::next)),
            Order::Newest => (last.unwrap_or(find.from), below),
        };
        reconcile::refuse_gap(store, looked_at, Needs::Message).await?;
        let next = last.filter(|_| found.len() < limit);
        Ok(MarkedPage { messages: found, next })
    }
}

impl MarkedPage {
    /// A page that ends at its last message. More may follow a full one.
    fn of(messages: Vec<Message>, limit: i64) -> Self {
        let next = messages.last().filter(|_| messages.len() as i64 >= limit).map(|last| last.ms_id);
        Self { messages, next }
    }
}

/// The topics of a channel whose last message the reader may see, the last message first. `below` is the last message of the
/// page before.
pub async fn topics(reading: Reading<'_>, below: Option<MsId>, limit: i64) -> Result<Vec<Topic>> {
    reading.spans().await?;
    let below = below.unwrap_or(MsId::MAX);
    let rows = reading
        .store
        .all(sql!("records/history/topics"), &[&reading.channel_id, &reading.reader, &below, &limit])
        .await?;
    let topic = |row: &tokio_postgres::Row| Topic {
        topic: row.get("topic"),
        last_seq: row.get("last_seq"),
        last_ms_id: row.get("last_ms_id"),
        last_at: row.get("last_at"),
    };
    Ok(rows.iter().map(topic).collect())
}

/// Deletes a batch of marks of messages that are in the archive.
pub async fn prune_marks(store: &Store, most: i64) -> Result<u64> {
    store.run(sql!("records/history/prune_marks"), &[&most]).await
}
