//! The history of a channel, in both directions, as far as the reader may see it. A page can start in
//! PostgreSQL and end in the archive, or the reverse. The caller sees no difference.

mod marked;
mod unread;

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use futures_util::{StreamExt, stream};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::archive::reconcile::{self, Needs};
use crate::archive::{self, Archive, Document, Find, Order, Recalled, Span};
use crate::base::error::{Error, Result};
use crate::base::extra::{self, Extra};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::people::users;
use crate::sql;

pub use marked::{Marked, MarkedPage, Topic, prune_marks, topics};
pub use unread::{Unread, UnreadPage, unread};

/// Messages of the archive that are read at the same time.
const COLD_AT_ONCE: usize = 8;

/// A message as readers see it.
#[derive(Debug)]
pub struct Message {
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub seq: i64,
    pub server_time: OffsetDateTime,
    pub sender: String,
    pub sender_name: String,
    pub ms_type: String,
    /// Empty if the message is recalled.
    pub content: Value,
    /// What the message carries beside its content. Empty if the message is recalled.
    pub extra: Extra,
    /// The number of replies, without recalled ones.
    pub replies: i64,
    pub recalled: Option<Recalled>,
}

/// A position between two messages. `ms_id` limits the partitions to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub seq: i64,
    pub ms_id: MsId,
}

impl Position {
    /// The positions before the first and after the last message.
    pub const START: Self = Self { seq: 0, ms_id: MsId(0) };
    pub const END: Self = Self { seq: i64::MAX, ms_id: MsId::MAX };
}

/// A read of a channel: the reader, the store and, for messages below the horizon, the archive.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub store: &'a Store,
    pub archive: Option<&'a dyn Archive>,
    pub channel_id: ChannelId,
    /// `None`: a role that may read every message.
    pub reader: Option<&'a str>,
}

/// A message with the messages around it, newest first.
#[derive(Debug)]
pub struct Around {
    pub messages: Vec<Message>,
    /// The place of the message among them.
    pub at: usize,
    /// Whether older and newer messages may follow.
    pub older: bool,
    pub newer: bool,
}

/// Messages from PostgreSQL, and the horizon of the same snapshot.
struct Hot {
    horizon: MsId,
    messages: Vec<Message>,
}

impl Reading<'_> {
    /// Up to `limit` messages below `before` and above `after_seq`, newest first. The flag says whether more
    /// may follow. If the archive does not answer, the page can be shorter than `limit`.
    pub async fn before(&self, before: Position, after_seq: i64, limit: i64) -> Result<(Vec<Message>, bool)> {
        let spans = self.spans().await?;
        let hot = self.hot_before(before, after_seq, limit).await?;
        let mut messages = hot.messages;
        let top = messages.last().map_or(before.seq, |last| last.seq).saturating_sub(1);
        let wanted = newest(&spans, after_seq.saturating_add(1)..=top, limit as usize - messages.len());
        if hot.horizon == MsId(0) || wanted.is_empty() {
            let full = messages.len() as i64 >= limit;
            return Ok((messages, full));
        }
        match self.cold(&spans, &wanted, Order::Newest, hot.horizon).await {
            Ok(cold) => messages.extend(cold),
            Err(e) if messages.is_empty() => return Err(e),
            Err(_) => return Ok((messages, true)),
        }
        let full = messages.len() as i64 >= limit;
        Ok((messages, full))
    }

    /// Up to `limit` messages above `after`, oldest first.
    pub async fn after(&self, after: Position, limit: i64) -> Result<(Vec<Message>, bool)> {
        let spans = self.spans().await?;
        let hot = self.hot_after(after, limit).await?;
        let end = hot.messages.first().map_or(i64::MAX, |first| first.seq - 1);
        let wanted = oldest(&spans, after.seq.saturating_add(1)..=end, limit as usize);
        let mut messages = Vec::new();
        if hot.horizon > MsId(0) && !wanted.is_empty() {
            messages = self.cold(&spans, &wanted, Order::Oldest, hot.horizon).await?;
        }
        messages.extend(hot.messages);
        messages.truncate(limit as usize);
        let full = messages.len() as i64 >= limit;
        Ok((messages, full))
    }

    /// The message at `place`, with up to `each` messages on both sides. `None` if the reader does not see it.
    pub async fn around(&self, place: Position, each: i64) -> Result<Option<Around>> {
        if !self.sees(place).await? {
            return Ok(None);
        }
        let before = Position { seq: place.seq - 1, ms_id: place.ms_id.previous() };
        let (mut messages, newer) = self.after(before, each + 1).await?;
        if messages.first().is_none_or(|first| first.ms_id != place.ms_id) {
            return Ok(None);
        }
        messages.reverse();
        let at = messages.len() - 1;
        let mut older = place.seq > 1;
        if each > 0 {
            let (earlier, full) = self.before(place, 0, each).await?;
            messages.extend(earlier);
            older = full;
        }
        Ok(Some(Around { messages, at, older, newer }))
    }

    /// Whether the reader sees the message at `place`.
    pub async fn sees(&self, place: Position) -> Result<bool> {
        Ok(holds(&self.seen().await?, self.channel_id, place.seq))
    }

    /// The message at `place`. `None` if the reader does not see it.
    pub async fn at(&self, place: Position) -> Result<Option<Message>> {
        let found = self.around(place, 0).await?;
        Ok(found
            .and_then(|Around { mut messages, at, .. }| (at < messages.len()).then(|| messages.remove(at))))
    }

    /// The spans that the reader may see. Empty for other users.
    async fn seen(&self) -> Result<Vec<Span>> {
        let client = self.store.client().await?;
        match self.reader {
            Some(reader) => visible(&client, self.channel_id, reader).await,
            None => whole(&client, self.channel_id).await,
        }
    }

    /// The same. For other users the channel is not found.
    async fn spans(&self) -> Result<Vec<Span>> {
        let spans = self.seen().await?;
        if spans.is_empty() { Err(Error::not_found("no such channel")) } else { Ok(spans) }
    }

    async fn hot_before(&self, before: Position, after_seq: i64, limit: i64) -> Result<Hot> {
        let rows = self
            .store
            .all(
                sql!("records/history/before"),
                &[&self.channel_id, &self.reader, &before.seq, &before.ms_id, &after_seq, &limit],
            )
            .await?;
        hot(rows)
    }

    async fn hot_after(&self, after: Position, limit: i64) -> Result<Hot> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.channel_id, &self.reader, &after.seq, &after.ms_id, &limit];
        hot(self.store.all(sql!("records/history/after"), &parameters).await?)
    }

    /// The messages with exactly these seqs, which are below the horizon. A channel has no gaps in `seq`, so
    /// a seq that the archive does not return is an error.
    async fn cold(
        &self,
        spans: &[Span],
        wanted: &[i64],
        order: Order,
        horizon: MsId,
    ) -> Result<Vec<Message>> {
        let archive = self.archive.ok_or_else(archive::not_configured)?;
        let (low, high) = (wanted.iter().min().copied(), wanted.iter().max().copied());
        let within = Span {
            channel_id: self.channel_id,
            from_seq: low.unwrap_or_default(),
            to_seq: high.unwrap_or_default(),
        };
        let find = Find {
            spans: Some(spans.iter().filter_map(|span| overlap(*span, within)).collect()),
            below: horizon,
            order,
            ledger: false,
            ..Find::newest(wanted.len())
        };
        let documents = archive.find(&find).await?;
        if !documents.iter().map(|d| d.seq).eq(wanted.iter().copied()) {
            let found: Vec<i64> = documents.iter().map(|d| d.seq).collect();
            tracing::error!(
                channel_id = self.channel_id.0,
                horizon = horizon.0,
                ?wanted,
                ?found,
                "messages of a channel are missing in the archive"
            );
            metrics::counter!("impg_archive_gaps_total").increment(1);
            return Err(Error::unavailable("messages of this channel are missing in the archive"));
        }
        messages(self.store, documents, self.reader).await
    }
}

/// The spans of a channel that a user may see. Empty, without even an empty span, if the user is not a member
/// now.
pub async fn visible(client: &impl Statements, channel_id: ChannelId, person: &str) -> Result<Vec<Span>> {
    let rows = client.all(sql!("records/history/spans"), &[&channel_id, &person]).await?;
    let span = |row: &Row| Span { channel_id, from_seq: row.get("from_seq"), to_seq: row.get("to_seq") };
    Ok(rows.iter().map(span).collect())
}

/// All of a channel, cut at its last message. Empty if there is no such channel.
async fn whole(client: &impl Statements, channel_id: ChannelId) -> Result<Vec<Span>> {
    let row = client.opt(sql!("records/history/whole"), &[&channel_id]).await?;
    Ok(row.map(|row| Span { channel_id, from_seq: 1, to_seq: row.get("last_seq") }).into_iter().collect())
}

/// The channel of a message, hot or cold, and its place in it. `503` while the archive is needed and does not answer.
pub async fn locate(
    store: &Store,
    archive: Option<&dyn Archive>,
    ms_id: MsId,
) -> Result<Option<(ChannelId, Position)>> {
    let client = store.client().await?;
    if let Some(row) = client.opt(sql!("records/history/locate"), &[&ms_id]).await? {
        return Ok(Some((row.get("channel_id"), Position { seq: row.get("seq"), ms_id })));
    }
    drop(client);
    let horizon = store.horizon().await?.cold;
    if ms_id >= horizon {
        return Ok(None);
    }
    let archive = archive.ok_or_else(archive::not_configured)?;
    let found = find_cold(store, archive, ms_id).await?;
    Ok(found.first().map(|document| (document.channel_id, Position { seq: document.seq, ms_id })))
}

/// A message that a user sees, hot or cold. For other users it is not found.
pub async fn seen(
    store: &Store,
    archive: Option<&dyn Archive>,
    reader: &str,
    ms_id: MsId,
) -> Result<Message> {
    let missing = || Error::not_found("no such message");
    let (channel_id, place) = locate(store, archive, ms_id).await?.ok_or_else(missing)?;
    let reading = Reading { store, archive, channel_id, reader: Some(reader) };
    reading.at(place).await?.ok_or_else(missing)
}

/// Messages by their ids, hot and cold, as a reader sees them, or a role that may read every message. What the reader does
/// not see is left out. Without an answer of the archive a message that may be there is an error.
pub async fn many(
    store: &Store,
    archive: Option<&dyn Archive>,
    reader: Option<&str>,
    ms_ids: &[MsId],
) -> Result<HashMap<MsId, Result<Message>>> {
    if ms_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let Hot { horizon, messages } =
        hot(store.all(sql!("records/history/many"), &[&ms_ids, &reader]).await?)?;
    let mut found: HashMap<MsId, Result<Message>> =
        messages.into_iter().map(|message| (message.ms_id, Ok(message))).collect();
    let cold: HashSet<MsId> = ms_ids.iter().copied().filter(|ms_id| *ms_id < horizon).collect();
    let read = |ms_id| async move { (ms_id, cold_one(store, archive, reader, ms_id).await) };
    let read: Vec<_> = stream::iter(cold).map(read).buffer_unordered(COLD_AT_ONCE).collect().await;
    found.extend(read.into_iter().filter_map(|(ms_id, one)| Some((ms_id, one.transpose()?))));
    Ok(found)
}

/// The document of a cold message, if there is such a message. `503` if the archive may have lost it.
pub(super) async fn find_cold(store: &Store, archive: &dyn Archive, ms_id: MsId) -> Result<Vec<Document>> {
    let found = archive.find(&Find { limit: 1, ledger: false, ..Find::message(ms_id) }).await?;
    if found.is_empty() {
        reconcile::refuse_lost(store, ms_id, Needs::Message).await?;
    }
    Ok(found)
}

/// A message of the archive. `None` if the reader does not see it.
async fn cold_one(
    store: &Store,
    archive: Option<&dyn Archive>,
    reader: Option<&str>,
    ms_id: MsId,
) -> Result<Option<Message>> {
    let archive = archive.ok_or_else(archive::not_configured)?;
    let documents = find_cold(store, archive, ms_id).await?;
    let Some(message) = messages(store, documents, reader).await?.pop() else { return Ok(None) };
    let Some(reader) = reader else { return Ok(Some(message)) };
    let is_hidden = !hidden(store, &[(message.channel_id, message.seq)], reader).await?.is_empty();
    Ok((!is_hidden).then_some(message))
}

/// Whether a message lies in one of the spans.
pub fn holds(spans: &[Span], channel_id: ChannelId, seq: i64) -> bool {
    let one = Span { channel_id, from_seq: seq, to_seq: seq };
    spans.iter().any(|span| overlap(*span, one).is_some())
}

/// The newest or the oldest seqs of a range that lie in the spans.
fn newest(spans: &[Span], range: RangeInclusive<i64>, most: usize) -> Vec<i64> {
    let mut seqs: Vec<i64> = ranges(spans, range).into_iter().flat_map(|r| r.rev().take(most)).collect();
    seqs.sort_unstable_by(|a, b| b.cmp(a));
    seqs.dedup();
    seqs.truncate(most);
    seqs
}

fn oldest(spans: &[Span], range: RangeInclusive<i64>, most: usize) -> Vec<i64> {
    let mut seqs: Vec<i64> = ranges(spans, range).into_iter().flat_map(|r| r.take(most)).collect();
    seqs.sort_unstable();
    seqs.dedup();
    seqs.truncate(most);
    seqs
}

fn ranges(spans: &[Span], range: RangeInclusive<i64>) -> Vec<RangeInclusive<i64>> {
    spans.iter().map(|s| s.from_seq.max(*range.start())..=s.to_seq.min(*range.end())).collect()
}

/// The intersection of two spans of one channel.
pub fn overlap(one: Span, other: Span) -> Option<Span> {
    let (from_seq, to_seq) = (one.from_seq.max(other.from_seq), one.to_seq.min(other.to_seq));
    (one.channel_id == other.channel_id && from_seq <= to_seq).then_some(Span { from_seq, to_seq, ..one })
}

fn hot(rows: Vec<Row>) -> Result<Hot> {
    let horizon = rows.first().map(|row| row.get("horizon"));
    let horizon = horizon.ok_or_else(|| Error::internal("the horizon is missing"))?;
    let there = rows.iter().filter(|row| row.get::<_, Option<MsId>>("ms_id").is_some());
    Ok(Hot { horizon, messages: there.map(message).collect() })
}

/// A message of a row.
pub(super) fn message(row: &Row) -> Message {
    let recalled = recalled(row);
    Message {
        ms_id: row.get("ms_id"),
        channel_id: row.get("channel_id"),
        seq: row.get("seq"),
        server_time: row.get("server_time"),
        sender: row.get("sender"),
        sender_name: row.get::<_, Option<String>>("sender_name").unwrap_or_default(),
        ms_type: row.get("ms_type"),
        content: if recalled.is_some() { Value::Object(serde_json::Map::new()) } else { row.get("content") },
        extra: if recalled.is_some() { Extra::new() } else { row.get::<_, Json<_>>("extra").0 },
        replies: row.get("replies"),
        recalled,
    }
}

/// The recalls of these messages. A message that was not recalled has none.
pub async fn recalls(client: &impl Statements, ms_ids: &[MsId]) -> Result<HashMap<MsId, Recalled>> {
    let rows = client.all(sql!("records/history/recalls"), &[&ms_ids]).await?;
    Ok(rows.iter().filter_map(|row| Some((row.get("ms_id"), recalled(row)?))).collect())
}

/// Who recalled the message of a row and when, if it is recalled.
fn recalled(row: &Row) -> Option<Recalled> {
    let by: Option<String> = row.get("recalled_by");
    by.map(|by| Recalled { by, at: row.get("recalled_at") })
}

/// Documents as a reader sees them, or a role that may read every message: with names, and without the content of messages
/// recalled since.
pub async fn messages(
    store: &Store,
    mut documents: Vec<Document>,
    reader: Option<&str>,
) -> Result<Vec<Message>> {
    hide_unseen_replied(store, &mut documents, reader).await?;
    let senders: Vec<&str> = documents.iter().map(|d| d.sender.as_str()).collect();
    let names = users::names(store, &senders).await?;
    let ms_ids: Vec<MsId> = documents.iter().map(|d| d.ms_id).collect();
    let replied = documents.iter().filter_map(|d| extra::replied(&d.extra));
    let recalls = recalls(store, &ms_ids.iter().copied().chain(replied).collect::<Vec<_>>()).await?;
    let replies = store.all(sql!("records/history/replies"), &[&ms_ids]).await?;
    let replies: HashMap<MsId, i64> =
        replies.iter().map(|row| (row.get("ms_id"), row.get("replies"))).collect();
    let message = |mut document: Document| {
        let recalled = recalls.get(&document.ms_id).cloned().or(document.recalled);
        if extra::replied(&document.extra).is_some_and(|replied| recalls.contains_key(&replied)) {
            extra::hide_replied(&mut document.extra);
        }
        Message {
            ms_id: document.ms_id,
            channel_id: document.channel_id,
            seq: document.seq,
            server_time: document.server_time,
            sender_name: names.get(&document.sender).cloned().unwrap_or_default(),
            sender: document.sender,
            ms_type: document.ms_type,
            content: if recalled.is_some() {
                Value::Object(serde_json::Map::new())
            } else {
                document.content
            },
            extra: if recalled.is_some() { Extra::new() } else { document.extra },
            replies: replies.get(&document.ms_id).copied().unwrap_or_default(),
            recalled,
        }
    };
    Ok(documents.into_iter().map(message).collect())
}

/// Takes the messages to which others reply, as far as the reader may not see them.
async fn hide_unseen_replied(store: &Store, documents: &mut [Document], reader: Option<&str>) -> Result<()> {
    let Some(reader) = reader else { return Ok(()) };
    let places = documents.iter().enumerate();
    let replied: Vec<(usize, ChannelId, i64)> = places
        .filter_map(|(at, document)| Some((at, document.channel_id, extra::replied_seq(&document.extra)?)))
        .collect();
    let asked: Vec<(ChannelId, i64)> =
        replied.iter().map(|(_, channel_id, seq)| (*channel_id, *seq)).collect();
    for hidden in hidden(store, &asked, reader).await? {
        extra::forget_replied(&mut documents[replied[hidden].0].extra);
    }
    Ok(())
}

/// Which of these messages a reader may not see, by their places in the list.
async fn hidden(store: &Store, messages: &[(ChannelId, i64)], reader: &str) -> Result<Vec<usize>> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let (channel_ids, seqs): (Vec<ChannelId>, Vec<i64>) = messages.iter().copied().unzip();
    let rows = store.all(sql!("records/history/hidden"), &[&channel_ids, &seqs, &reader]).await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>("place") as usize - 1).collect())
}
