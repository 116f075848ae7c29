//! Recall: the content of a message disappears for all readers. The row and the audit entry stay.

use deadpool_postgres::Transaction;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::archive::{self, Archive, Find, Recalled};
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Kind, Result};
use crate::base::extra;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{SHARE_SEAL, Statements, Store, retrying};
use crate::chat::message::Mls;
use crate::records::history;
use crate::sql;

/// A recall: who, which message, and by which right.
#[derive(Debug, Clone, Copy)]
pub struct Recall<'a> {
    pub ms_id: MsId,
    pub by: &'a str,
    /// Whether the caller's role may recall any message at any time.
    pub any: bool,
    pub reason: Option<&'a str>,
    pub now: OffsetDateTime,
    /// How long a sender may recall a message.
    pub within: Duration,
}

/// A message to recall, as [`recall_all`] takes it.
#[derive(Debug, Clone)]
pub struct RecallTarget {
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub seq: i64,
    /// The message that it replies to.
    pub replied: Option<MsId>,
    pub topic: Option<String>,
}

/// A message to recall.
struct Message {
    channel_id: ChannelId,
    seq: i64,
    sender: String,
    server_time: OffsetDateTime,
    /// The message that it replies to.
    replied: Option<MsId>,
    topic: Option<String>,
    /// Whether clients that have not read it can read no later message: a commit or a Welcome of MLS.
    is_needed: bool,
}

/// Recalls a message, hot or cold. A repeated recall succeeds, and the first one counts. A cold message needs
/// a reachable archive, or the answer is `503`.
pub async fn recall(store: &Store, archive: Option<&dyn Archive>, recall: Recall<'_>) -> Result<Recalled> {
    take_back(store, archive, recall).await?;
    let mut recalls = history::recalls(store, &[recall.ms_id]).await?;
    recalls.remove(&recall.ms_id).ok_or_else(|| Error::internal("the stored recall was not found"))
}

async fn take_back(store: &Store, archive: Option<&dyn Archive>, recall: Recall<'_>) -> Result<()> {
    if retrying(|| recall_hot(store, recall)).await? {
        return Ok(());
    }
    let missing = || Error::not_found("no such message");
    if !store.has_cold().await? {
        return Err(missing());
    }
    let archive = archive.ok_or_else(archive::not_configured)?;
    let found = archive.find(&Find { limit: 1, ledger: false, ..Find::message(recall.ms_id) }).await?;
    let document = found.into_iter().next().ok_or_else(missing)?;
    let message = Message {
        replied: extra::replied(&document.extra),
        topic: extra::topic(&document.extra).map(str::to_owned),
        is_needed: Mls::is_needed(&document.ms_type, &document.content),
        channel_id: document.channel_id,
        seq: document.seq,
        sender: document.sender,
        server_time: document.server_time,
    };
    retrying(|| recall_cold(store, &message, recall)).await
}

/// Returns whether the message exists and is hot.
async fn recall_hot(store: &Store, recall: Recall<'_>) -> Result<bool> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let Some(row) = tx.opt(sql!("records/recall/message"), &[&recall.ms_id]).await? else {
        return Ok(false);
    };
    let message = Message {
        channel_id: row.get("channel_id"),
        seq: row.get("seq"),
        sender: row.get("sender"),
        server_time: row.get("server_time"),
        replied: row.get("replied"),
        topic: row.get("topic"),
        is_needed: Mls::is_needed(row.get("ms_type"), &row.get("content")),
    };
    write(&tx, &message, recall).await?;
    tx.commit().await?;
    Ok(true)
}

async fn recall_cold(store: &Store, message: &Message, recall: Recall<'_>) -> Result<()> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    tx.all(sql!("records/recall/lock_channels"), &[&&[message.channel_id][..]]).await?;
    write(&tx, message, recall).await?;
    Ok(tx.commit().await?)
}

async fn write(tx: &Transaction<'_>, message: &Message, recall: Recall<'_>) -> Result<()> {
    check_may(tx, message, recall).await?;
    let Message { channel_id, seq, ref sender, replied, ref topic, .. } = *message;
    let target = RecallTarget { ms_id: recall.ms_id, channel_id, seq, replied, topic: topic.clone() };
    if write_all(tx, &[target], sender, (recall.by, recall.now)).await? > 0 {
        let entry = Entry {
            at: recall.now,
            actor: recall.by,
            action: Action::Recall,
            reason: recall.reason,
            filter: json!({"ms_id": recall.ms_id, "sender": sender}),
            results: Some(1),
        };
        audit::append_with(tx, entry).await?;
    }
    Ok(())
}

/// Recalls messages of a sender, hot or cold. Returns how many were not recalled before. The caller writes the
/// audit.
pub async fn recall_all(
    tx: &Transaction<'_>,
    messages: &[RecallTarget],
    sender: &str,
    now: OffsetDateTime,
) -> Result<usize> {
    tx.batch_execute(SHARE_SEAL).await?;
    let channels: Vec<ChannelId> = messages.iter().map(|message| message.channel_id).collect();
    tx.all(sql!("records/recall/lock_channels"), &[&channels]).await?;
    write_all(tx, messages, sender, (sender, now)).await
}

/// Writes recalls. The channels are locked.
async fn write_all(
    tx: &Transaction<'_>,
    messages: &[RecallTarget],
    sender: &str,
    (by, now): (&str, OffsetDateTime),
) -> Result<usize> {
    let ms_ids: Vec<MsId> = messages.iter().map(|message| message.ms_id).collect();
    let channels: Vec<ChannelId> = messages.iter().map(|message| message.channel_id).collect();
    let seqs: Vec<i64> = messages.iter().map(|message| message.seq).collect();
    let senders: Vec<&str> = messages.iter().map(|_| sender).collect();
    let replied: Vec<Option<MsId>> = messages.iter().map(|message| message.replied).collect();
    let topics: Vec<Option<&str>> = messages.iter().map(|message| message.topic.as_deref()).collect();
    let rows = tx
        .all(
            sql!("records/recall/recall"),
            &[&ms_ids, &channels, &seqs, &senders, &by, &now, &replied, &topics],
        )
        .await?;
    Ok(rows.len())
}

/// A sender may recall while in the channel and within the time limit. For a caller who cannot see the
/// message, it is not found.
async fn check_may(tx: &Transaction<'_>, message: &Message, recall: Recall<'_>) -> Result<()> {
    if recall.any {
        return if message.is_needed { Err(needed()) } else { Ok(()) };
    }
    let spans = history::visible(tx, message.channel_id, recall.by).await?;
    if !history::holds(&spans, message.channel_id, message.seq) {
        return Err(Error::not_found("no such message"));
    }
    if message.sender != recall.by {
        return Err(Error::new(Kind::Forbidden, "only the sender can recall a message"));
    }
    if message.is_needed {
        return Err(needed());
    }
    if recall.now - message.server_time > recall.within {
        if !history::recalls(tx, &[recall.ms_id]).await?.is_empty() {
            // A repeated recall succeeds, even after the time limit.
            return Ok(());
        }
        return Err(Error::new(
            Kind::Conflict,
            "the time limit for recalling this message has passed: ask an administrator to recall it",
        ));
    }
    Ok(())
}

fn needed() -> Error {
    let told = "a commit and a Welcome of MLS stay: without them a client could read no later message of the channel";
    Error::new(Kind::Conflict, told)
}
