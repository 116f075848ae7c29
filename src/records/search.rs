//! Search by words, users, channels, times and push statuses, over hot and cold messages, newest first. The
//! archive has every message soon after the send. The push status comes from the ledger for hot messages and
//! from the archive for cold ones.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::archive::document::searchable;
use crate::archive::reconcile::{self, Needs};
use crate::archive::{self, Archive, Document, Find, Ledger, Parts, Phrase, Recalled, Span};
use crate::base::analyzer::{self as text, Piece};
use crate::base::error::{Error, Result};
use crate::base::extra::{self, Extra};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::delivery::status::Status;
use crate::people::users;
use crate::records::history::{self, Message, overlap};
use crate::sql;

/// Length in milliseconds of one step of a ledger search. Short steps keep the queries short.
const STRETCH_MS: i64 = 86_400_000;
/// Largest difference between a message's server time and the time in its ms_id, which is created first.
const SKEW_MS: i64 = 5_000;
/// Most rows or documents of one read.
const LOOK: usize = 200;
/// Most reads of one page. A page with few hits ends there, and its cursor continues.
const LOOKS_MAX: usize = 50;

/// The messages to search.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// The messages that this user may see.
    Own(&'a str),
    Everybody,
}

/// Search conditions. All given conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub words: Vec<Phrase>,
    pub sender: Option<String>,
    pub not_sender: Option<String>,
    /// A receiver of the message.
    pub receiver: Option<String>,
    /// The push status of that receiver.
    pub status: Option<Status>,
    pub channel_id: Option<ChannelId>,
    pub ms_type: Option<String>,
    /// A user that the message mentions, by id or with `all`, and who did not send it.
    pub mentioned: Option<String>,
    pub topic: Option<String>,
    /// From this time, inclusive, to that time, exclusive.
    pub from: Option<OffsetDateTime>,
    pub to: Option<OffsetDateTime>,
}

#[derive(Debug)]
pub struct Hit {
    pub message: Message,
    /// The text around the first match, in pieces.
    pub highlight: Vec<Piece>,
    /// The push status of the receiver, if the search asks for it.
    pub status: Option<Status>,
}

/// One search over `store` and `archive`.
#[derive(Clone, Copy)]
pub struct Searching<'a> {
    pub store: &'a Store,
    pub archive: Option<&'a dyn Archive>,
    pub scope: Scope<'a>,
    pub search: &'a Search,
}

/// The id that is so many milliseconds later. Negative: earlier.
const fn shifted(ms_id: MsId, ms: i64) -> MsId {
    MsId(ms_id.0.saturating_add(ms << 22))
}

impl Searching<'_> {
    /// Up to `limit` hits below an ms_id, newest first. Also the id at which the next page continues, if
    /// there is one. `503` while the archive does not answer, and where it has lost documents.
    pub async fn page(&self, before: MsId, limit: usize) -> Result<(Vec<Hit>, Option<MsId>)> {
        let archive = self.archive.ok_or_else(archive::not_configured)?;
        // A slightly wider range. The server time of each hit decides.
        let (from, to) = (self.search.from.map(MsId::first_of), self.search.to.map(MsId::first_of));
        let range = IdRange {
            from: from.map_or(MsId(0), |from| shifted(from, -SKEW_MS).max(MsId(0))),
            below: to.map_or(MsId::MAX, |to| shifted(to, SKEW_MS)).min(before),
        };
        let asked = (from.unwrap_or_default(), to.unwrap_or(MsId::MAX).min(before));
        let needs = if self.search.status.is_some() { Needs::Ledger } else { Needs::Message };
        let Some(gap) = reconcile::gap(self.store, asked, needs).await? else {
            return self.page_of(archive, range, limit).await;
        };
        // Up to what the archive has lost. The page after that is the one that tells.
        let above = IdRange { from: range.from.max(gap.below), ..range };
        if above.from >= above.below {
            return Err(gap.error());
        }
        match self.page_of(archive, above, limit).await? {
            (hits, None) if hits.is_empty() => Err(gap.error()),
            (hits, next) => Ok((hits, next.or(Some(above.from)))),
        }
    }

    async fn page_of(
        &self,
        archive: &dyn Archive,
        range: IdRange,
        limit: usize,
    ) -> Result<(Vec<Hit>, Option<MsId>)> {
        match (self.search.status, &self.search.receiver) {
            (Some(status), Some(receiver)) => {
                let of = Of { status, receiver, spans: self.visible().await?, range };
                self.by_status(archive, &of, limit).await
            }
            (Some(_), None) => Err(Error::parameter("status", "requires `receiver`")),
            (None, _) => self.by_words(archive, range, limit).await,
        }
    }

    /// The spans that the searcher may see, limited to the channel of the search. `None`: everything.
    async fn visible(&self) -> Result<Option<Vec<Span>>> {
        let channel = self.search.channel_id.map(whole);
        let Scope::Own(person) = self.scope else {
            return Ok(channel.map(|channel| vec![channel]));
        };
        let mut spans = self.spans(sql!("records/search/visible"), person).await?;
        if let Some(channel) = channel {
            spans.retain(|span| span.channel_id == channel.channel_id);
            if spans.is_empty() {
                return Err(Error::not_found("no such channel"));
            }
        }
        Ok(Some(spans))
    }

    async fn spans(&self, sql: &str, user: &str) -> Result<Vec<Span>> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, &[&user]).await?;
        let span = |row: &Row| Span {
            channel_id: row.get("channel_id"),
            from_seq: row.get("from_seq"),
            to_seq: row.get::<_, Option<i64>>("to_seq").unwrap_or(i64::MAX),
        };
        Ok(rows.iter().map(span).collect())
    }

    /// The user for whom messages are shown. `None`: a role that may read every message.
    fn reader(&self) -> Option<&str> {
        match self.scope {
            Scope::Own(person) => Some(person),
            Scope::Everybody => None,
        }
    }

    async fn by_words(
        &self,
        archive: &dyn Archive,
        range: IdRange,
        limit: usize,
    ) -> Result<(Vec<Hit>, Option<MsId>)> {
        let mut spans = self.visible().await?;
        let mut not_sender = self.search.not_sender.clone();
        if let Some(receiver) = &self.search.receiver {
            let received = self.spans(sql!("records/search/received"), receiver).await?;
            spans = Some(common(spans, received));
            not_sender = Some(receiver.clone());
        }
        let mut find = Find {
            spans,
            not_sender,
            words: self.search.words.clone(),
            sender: self.search.sender.clone(),
            ms_type: self.search.ms_type.clone(),
            marks: self.marks(),
            from: range.from,
            below: range.below,
            ledger: false,
            ..Find::newest(limit)
        };
        let mut hits = Vec::new();
        for _ in 0..LOOKS_MAX {
            if find.spans.as_ref().is_some_and(Vec::is_empty) {
                return Ok((hits, None));
            }
            find.limit = limit - hits.len();
            let documents = archive.find(&find).await?;
            let ended = documents.len() < find.limit;
            if let Some(last) = documents.last() {
                find.below = last.ms_id;
            }
            // The archive can have messages that were stored since the search began.
            self.store.catch_up().await?;
            let messages = history::messages(self.store, documents, self.reader()).await?;
            hits.extend(messages.into_iter().filter_map(|message| self.hit(message, None)));
            if ended {
                return Ok((hits, None));
            }
            if hits.len() >= limit {
                break;
            }
        }
        Ok((hits, Some(find.below)))
    }

    /// The marks that a document must have, one of each list.
    fn marks(&self) -> Vec<Vec<String>> {
        let topic = self.search.topic.as_deref().map(|topic| vec![extra::topic_mark(topic)]);
        self.search.mentioned.as_deref().map(extra::marks_of_mentioned).into_iter().chain(topic).collect()
    }

    /// A message as a hit. `None` if the message was recalled since it was indexed, or if its time does not
    /// match.
    fn hit(&self, message: Message, status: Option<Status>) -> Option<Hit> {
        let Search { from, to, words, mentioned, topic, .. } = self.search;
        let early = from.is_some_and(|from| message.server_time < from);
        let late = to.is_some_and(|to| message.server_time >= to);
        if early || late || !words.is_empty() && message.recalled.is_some() {
            return None;
        }
        let is_mentioned = |user: &String| *user != message.sender && extra::mentions(&message.extra, user);
        let has_topic = |topic: &String| extra::topic(&message.extra) == Some(topic);
        if !mentioned.as_ref().is_none_or(is_mentioned) || !topic.as_ref().is_none_or(has_topic) {
            return None;
        }
        let text = searchable(&message.content);
        let highlight = if words.is_empty() { Vec::new() } else { text::highlight(words, &text) };
        Some(Hit { message, highlight, status })
    }

    /// The ledger for hot messages, then the archive for cold ones.
    async fn by_status(
        &self,
        archive: &dyn Archive,
        of: &Of<'_>,
        limit: usize,
    ) -> Result<(Vec<Hit>, Option<MsId>)> {
        let IdRange { from, below } = of.range;
        let now = self.store.now().await?;
        let horizon = self.store.horizon().await?.cold;
        let mut looks = 0..LOOKS_MAX;
        let mut place = below.min(MsId::first_of(now + time::Duration::days(2)));
        let mut hits = Vec::new();
        let end = from.max(horizon).max(self.oldest().await?);
        while place > end {
            let low = shifted(place, -STRETCH_MS).max(end);
            let rows = self.ledger(of, IdRange { from: low, below: place }).await?;
            // A read with fewer rows than the limit is the last of its range.
            let last: Option<MsId> = rows.last().filter(|_| rows.len() == LOOK).map(|row| row.get("ms_id"));
            place = last.unwrap_or(low);
            hits.extend(self.hot_hits(of, &rows).await?);
            if hits.len() >= limit || looks.next().is_none() {
                break;
            }
        }
        if hits.len() < limit && place <= end {
            // Days can have become cold since. Hits found above are not added twice.
            let horizon = self.store.horizon().await?.cold;
            let seen: HashSet<MsId> = hits.iter().map(|hit| hit.message.ms_id).collect();
            let cold = self.cold_by_status(archive, &of.below(horizon), limit, &seen).await?;
            place = cold.1.unwrap_or_default();
            hits.extend(cold.0);
            hits.sort_by_key(|hit| std::cmp::Reverse(hit.message.ms_id));
        }
        if hits.len() > limit {
            hits.truncate(limit);
        }
        let next = match hits.last() {
            Some(last) if hits.len() == limit => Some(last.message.ms_id),
            _ => Some(place).filter(|place| *place > from),
        };
        Ok((hits, next))
    }

    /// The ms_id below which there are no hot messages.
    async fn oldest(&self) -> Result<MsId> {
        let oldest: Option<MsId> = self.store.one(sql!("records/search/oldest"), &[]).await?.get("ms_id");
        Ok(oldest.unwrap_or(MsId::MAX))
    }

    async fn ledger(&self, of: &Of<'_>, IdRange { from, below }: IdRange) -> Result<Vec<Row>> {
        let Search { sender, not_sender, ms_type, channel_id, .. } = self.search;
        let statuses = vec![of.status.code()];
        let limit = LOOK as i64;
        let rows = self
            .store
            .all(
                sql!("records/search/ledger"),
                &[
                    &of.receiver,
                    &statuses,
                    &from,
                    &below,
                    sender,
                    not_sender,
                    ms_type,
                    channel_id,
                    &limit,
                    &self.reader(),
                ],
            )
            .await?;
        Ok(rows)
    }

    async fn hot_hits(&self, of: &Of<'_>, rows: &[Row]) -> Result<Vec<Hit>> {
        let senders: Vec<&str> = rows.iter().map(|row| row.get("sender")).collect();
        let names = users::names(self.store, &senders).await?;
        let hit = |row: &Row| {
            let sender: String = row.get("sender");
            let recalled_by: Option<String> = row.get("recalled_by");
            let message = Message {
                ms_id: row.get("ms_id"),
                channel_id: row.get("channel_id"),
                seq: row.get("seq"),
                server_time: row.get("server_time"),
                sender_name: names.get(&sender).cloned().unwrap_or_default(),
                sender,
                ms_type: row.get("ms_type"),
                content: row.get("content"),
                extra: row.get::<_, Json<Extra>>("extra").0,
                replies: row.get("replies"),
                recalled: recalled_by.map(|by| Recalled { by, at: row.get("recalled_at") }),
            };
            let shown = of.shows(message.channel_id, message.seq)
                && (self.search.words.is_empty()
                    || text::matches(&self.search.words, &searchable(&message.content)));
            shown.then(|| self.hit(message, Some(of.status))).flatten()
        };
        Ok(rows.iter().filter_map(hit).collect())
    }

    /// Cold messages by the push status of a receiver. The outbox is read before the documents. An entry
    /// leaves the outbox only when the documents have it.
    async fn cold_by_status(
        &self,
        archive: &dyn Archive,
        of: &Of<'_>,
        limit: usize,
        seen: &HashSet<MsId>,
    ) -> Result<(Vec<Hit>, Option<MsId>)> {
        let late = self.late(of.receiver).await?;
        let mut find = Find {
            spans: of.spans.clone(),
            words: self.search.words.clone(),
            sender: self.search.sender.clone(),
            not_sender: self.search.not_sender.clone(),
            ms_type: self.search.ms_type.clone(),
            marks: self.marks(),
            receiver: Some((of.receiver.to_owned(), late.groups(of.status))),
            from: of.range.from,
            below: of.range.below,
            parts: Parts::All,
            ..Find::newest(LOOK)
        };
        let mut hits: Vec<Hit> = Vec::new();
        for _ in 0..LOOKS_MAX {
            if find.spans.as_ref().is_some_and(Vec::is_empty) || find.from >= find.below {
                return Ok((hits, None));
            }
            let mut documents = archive.find(&find).await?;
            let ended = documents.len() < LOOK;
            if let Some(last) = documents.last() {
                find.after = Some((last.ms_id, last.part));
                find.below = find.below.min(last.ms_id.next());
            }
            documents.retain(|d| !seen.contains(&d.ms_id) && late.status(d, of.receiver) == Some(of.status));
            let messages = history::messages(self.store, documents, self.reader()).await?;
            hits.extend(messages.into_iter().filter_map(|message| self.hit(message, Some(of.status))));
            if ended {
                return Ok((hits, None));
            }
            if hits.len() >= limit {
                break;
            }
        }
        Ok((hits, Some(find.below.previous())))
    }

    async fn late(&self, receiver: &str) -> Result<Late> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("records/search/of_receiver")).await?;
        let mut late = Late::default();
        for row in client.query(&statement, &[&receiver]).await? {
            match row.get::<_, Option<MsId>>("ms_id") {
                Some(ms_id) => _ = late.receipts.insert(ms_id, Status::from_db(row.get("status"))?),
                None => {
                    let (from_seq, to_seq) = (row.get("from_seq"), row.get("to_seq"));
                    let span = Span { channel_id: row.get("channel_id"), from_seq, to_seq };
                    match Status::from_db(row.get("status"))? {
                        Status::Read => late.reads.push(span),
                        _ => late.received.push(span),
                    }
                }
            }
        }
        Ok(late)
    }
}

/// A range of message ids: from one, and below another.
#[derive(Debug, Clone, Copy)]
struct IdRange {
    from: MsId,
    below: MsId,
}

/// The receiver and status of the search, and where they may be shown.
#[derive(Clone)]
struct Of<'a> {
    status: Status,
    receiver: &'a str,
    spans: Option<Vec<Span>>,
    range: IdRange,
}

impl Of<'_> {
    /// The same, with messages below an id only.
    fn below(&self, ms_id: MsId) -> Self {
        let IdRange { from, below } = self.range;
        Self { range: IdRange { from, below: below.min(ms_id) }, ..self.clone() }
    }

    fn shows(&self, channel_id: ChannelId, seq: i64) -> bool {
        self.spans.as_ref().is_none_or(|spans| history::holds(spans, channel_id, seq))
    }
}

/// Changes of a receiver that the documents do not have yet.
#[derive(Default)]
struct Late {
    receipts: HashMap<MsId, Status>,
    reads: Vec<Span>,
    received: Vec<Span>,
}

impl Late {
    /// The groups of a document that can hold this status. All groups if a change waits in the outbox.
    fn groups(&self, status: Status) -> &'static [&'static str] {
        match status {
            _ if !self.is_empty() => Ledger::ANY,
            Status::Unreceived => Ledger::UNRECEIVED,
            Status::Received => Ledger::RECEIVED,
            Status::Read => Ledger::READ,
        }
    }

    fn is_empty(&self) -> bool {
        self.receipts.is_empty() && self.reads.is_empty() && self.received.is_empty()
    }

    fn status(&self, document: &Document, receiver: &str) -> Option<Status> {
        let stored = document.ledger.as_ref()?.status(receiver)?;
        let holds = |spans| history::holds(spans, document.channel_id, document.seq);
        let late = if holds(&self.reads) {
            Status::Read
        } else if holds(&self.received) {
            Status::Received
        } else {
            Status::Unreceived
        };
        Some(stored.max(late).max(self.receipts.get(&document.ms_id).copied().unwrap_or(Status::Unreceived)))
    }
}

fn whole(channel_id: ChannelId) -> Span {
    Span { channel_id, from_seq: 1, to_seq: i64::MAX }
}

/// The intersection of two sets of spans. If the first is `None`, the second.
fn common(one: Option<Vec<Span>>, other: Vec<Span>) -> Vec<Span> {
    let Some(one) = one else {
        return other;
    };
    let mut of_channel: HashMap<ChannelId, Vec<Span>> = HashMap::new();
    for span in other {
        of_channel.entry(span.channel_id).or_default().push(span);
    }
    let meets = |span: &Span| {
        let others = of_channel.get(&span.channel_id).cloned().unwrap_or_default();
        let span = *span;
        others.into_iter().filter_map(move |other| overlap(span, other)).collect::<Vec<_>>()
    };
    one.iter().flat_map(meets).collect()
}
