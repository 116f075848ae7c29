//! What a user has not read, across channels, newest first: hot messages from PostgreSQL, then cold ones from the
//! archive.

use super::{Hot, Message, hot, messages};
use crate::archive::reconcile::{self, Needs};
use crate::archive::{self, Archive, Find, Span};
use crate::base::error::Result;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::sql;

/// Channels of one read.
const CHANNELS: usize = 100;
/// Most reads of the archive for one page. A page with few messages ends there, and its cursor continues.
const LOOKS_MAX: usize = 20;

/// A channel with unread messages.
struct Channel {
    channel_id: ChannelId,
    read_seq: i64,
    read_ms_id: MsId,
    last_seq: i64,
    last_ms_id: MsId,
}

/// A page of unread messages.
#[derive(Debug)]
pub struct Unread {
    pub messages: Vec<Message>,
    /// The ms_id below which the next page begins, if there may be one.
    pub next: Option<MsId>,
}

/// Which unread messages of a user a page has.
#[derive(Debug, Clone, Copy)]
pub struct UnreadPage<'a> {
    pub reader: &'a str,
    /// Only messages below this id.
    pub below: MsId,
    pub limit: usize,
}

/// The unread messages of a page. With `patient`, it ends at the horizon while the archive does not answer; without,
/// that is `503`.
pub async fn unread(
    store: &Store,
    archive: Option<&dyn Archive>,
    page: UnreadPage<'_>,
    patient: bool,
) -> Result<Unread> {
    let UnreadPage { reader, below, limit } = page;
    let channels = channels(store, reader).await?;
    let Hot { horizon, messages: mut found } = hot_unread(store, &channels, page).await?;
    let place = |found: &[Message]| found.last().map_or(below, |last| last.ms_id);
    if found.len() >= limit || horizon == MsId(0) {
        let next = (found.len() >= limit).then(|| place(&found));
        return Ok(Unread { messages: found, next });
    }
    let cold = || channels.iter().filter(|channel| channel.read_ms_id < horizon);
    let Some(read_upto) = cold().map(|channel| channel.read_ms_id).min() else {
        return Ok(Unread { messages: found, next: None });
    };
    let span = |c: &Channel| Span { channel_id: c.channel_id, from_seq: c.read_seq + 1, to_seq: c.last_seq };
    let spans: Vec<Span> = cold().map(span).collect();
    let begin = place(&found).min(horizon);
    let rest = UnreadPage { below: begin, limit: limit - found.len(), ..page };
    match cold_unread(store, archive, (spans, read_upto), rest).await {
        Ok(Unread { messages: cold, next }) => {
            found.extend(cold);
            Ok(Unread { messages: found, next })
        }
        Err(_) if patient || !found.is_empty() => Ok(Unread { messages: found, next: Some(begin) }),
        Err(e) => Err(e),
    }
}

async fn channels(store: &Store, reader: &str) -> Result<Vec<Channel>> {
    let rows = store.all(sql!("records/history/unread_channels"), &[&reader]).await?;
    let channel = |row: &tokio_postgres::Row| Channel {
        channel_id: row.get("channel_id"),
        read_seq: row.get("read_seq"),
        read_ms_id: row.get("read_ms_id"),
        last_seq: row.get("last_seq"),
        last_ms_id: row.get("last_ms_id"),
    };
    Ok(rows.iter().map(channel).collect())
}

/// Reads the channels in steps, the newest first, until no other channel can have a newer message.
async fn hot_unread(store: &Store, channels: &[Channel], page: UnreadPage<'_>) -> Result<Hot> {
    let UnreadPage { reader, below, limit } = page;
    let client = store.client().await?;
    let (mut horizon, mut found) = (MsId(0), Vec::<Message>::new());
    let most = limit as i64;
    // Without channels there is one read, for the horizon.
    let steps = channels.chunks(CHANNELS).chain(channels.is_empty().then_some(channels));
    for step in steps {
        let newest = step.first().map_or(MsId(0), |channel| channel.last_ms_id);
        if found.len() >= limit && found[limit - 1].ms_id > newest {
            break;
        }
        let ids: Vec<ChannelId> = step.iter().map(|channel| channel.channel_id).collect();
        let seqs: Vec<i64> = step.iter().map(|channel| channel.read_seq).collect();
        let ms_ids: Vec<MsId> = step.iter().map(|channel| channel.read_ms_id).collect();
        let rows = client
            .all(sql!("records/history/unread"), &[&ids, &seqs, &ms_ids, &reader, &below, &most])
            .await?;
        let read = hot(rows)?;
        // A day can become cold between two reads. What the archive has from then on is read from there.
        horizon = read.horizon.max(horizon);
        found.extend(read.messages);
        found.sort_unstable_by_key(|message| std::cmp::Reverse(message.ms_id));
        found.truncate(limit);
    }
    found.retain(|message| message.ms_id >= horizon);
    Ok(Hot { horizon, messages: found })
}

async fn cold_unread(
    store: &Store,
    archive: Option<&dyn Archive>,
    (spans, read_upto): (Vec<Span>, MsId),
    page: UnreadPage<'_>,
) -> Result<Unread> {
    let UnreadPage { reader, below, limit } = page;
    let archive = archive.ok_or_else(archive::not_configured)?;
    let not_sender = Some(reader.to_owned());
    let mut find = Find { spans: Some(spans), not_sender, below, ledger: false, ..Find::newest(limit) };
    let (mut found, mut ended) = (Vec::new(), false);
    for _ in 0..LOOKS_MAX {
        find.limit = limit - found.len();
        let documents = archive.find(&find).await?;
        ended = documents.len() < find.limit;
        if let Some(last) = documents.last() {
            find.below = last.ms_id;
        }
        // A recalled message is unread for no user.
        let read = messages(store, documents, Some(reader)).await?;
        found.extend(read.into_iter().filter(|message| message.recalled.is_none()));
        if ended || found.len() >= limit {
            break;
        }
    }
    let next = Some(find.below).filter(|_| !ended);
    reconcile::refuse_gap(store, (next.unwrap_or(read_upto), below), Needs::Message).await?;
    Ok(Unread { messages: found, next })
}
