//! A nudge: the sender reminds the receivers who have not read.

use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;

use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{SHARE_SEAL, Statements, Store, retrying};
use crate::delivery::escalation::{self, Escalation};
use crate::records::history;
use crate::sql;

/// Most receivers that an answer names.
const NAMED_MAX: usize = 1_000;

/// A request to push a message again.
#[derive(Debug, Clone, Copy)]
pub struct Nudge<'a> {
    pub ms_id: MsId,
    pub by: &'a str,
    pub now: OffsetDateTime,
    /// The shortest time between two nudges for a message.
    pub every: Duration,
}

/// The result of a nudge.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Nudged {
    /// The number of receivers who get an urgent push.
    pub urged: usize,
    /// Receivers who have too many open urgent messages: the first of them, and their number.
    pub over: Vec<String>,
    pub over_count: usize,
}

/// Pushes a message again, marked urgent, to the receivers who have not read. Only its sender may, and only once in a
/// while. If the call dies midway, the worker of escalations goes on.
pub async fn nudge(store: &Store, escalation: &Escalation, nudge: Nudge<'_>) -> Result<Nudged> {
    let step = retrying(|| begin(store, nudge)).await?;
    let mut nudged = Nudged::default();
    while let Some(page) = escalation.next_page(step, nudge.now).await? {
        nudged.urged += page.urged.len();
        nudged.over_count += page.over.len();
        let room = NAMED_MAX - nudged.over.len();
        nudged.over.extend(page.over.into_iter().take(room));
    }
    Ok(nudged)
}

/// Checks the nudge and notes it, with a step of its own.
async fn begin(store: &Store, nudge: Nudge<'_>) -> Result<i64> {
    let Nudge { ms_id, now, every, .. } = nudge;
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(SHARE_SEAL).await?;
    let (channel_id, seq) = check(&tx, nudge).await?;
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let noted = tx.one(sql!("records/nudge/note"), &[&ms_id, &now, &every_ms]).await?;
    if !noted.get::<_, bool>("is_noted") {
        let wait_s = noted.get::<_, i64>("wait_ms").max(0).unsigned_abs().div_ceil(1_000);
        let detail = format!("this message was nudged a short time ago; nudge it again in {wait_s} s");
        return Err(Error::new(Kind::NudgedRecently, detail).retry_after(wait_s));
    }
    let filter = json!({"ms_id": ms_id, "channel_id": channel_id});
    audit::append_with(&tx, Entry::change(Action::Nudge, filter, (nudge.by, now))).await?;
    let step = escalation::begin(&tx, ms_id, channel_id, seq, now).await?;
    tx.commit().await?;
    Ok(step)
}

/// The channel and seq of the message, if the caller may nudge it now. For a caller who cannot see it, it is not found.
async fn check(tx: &Transaction<'_>, nudge: Nudge<'_>) -> Result<(ChannelId, i64)> {
    let missing = || Error::not_found("no such message, or it is in the archive and cannot be nudged");
    let row = tx.opt(sql!("records/nudge/message"), &[&nudge.ms_id]).await?.ok_or_else(missing)?;
    let (channel_id, seq): (ChannelId, i64) = (row.get("channel_id"), row.get("seq"));
    let spans = history::visible(tx, channel_id, nudge.by).await?;
    if !history::holds(&spans, channel_id, seq) {
        return Err(missing());
    }
    if row.get::<_, &str>("sender") != nudge.by {
        return Err(Error::new(Kind::Forbidden, "only the sender can nudge: ask the sender of the message"));
    }
    if row.get("is_blocked") {
        return Err(Error::new(Kind::Blocked, ""));
    }
    if row.get("is_dissolved") {
        return Err(Error::new(Kind::ChannelDissolved, "send the message in another channel"));
    }
    if row.get("is_recalled") {
        return Err(Error::new(Kind::Conflict, "the message was recalled: send a new one"));
    }
    if row.get("is_sealed") {
        return Err(Error::new(Kind::Conflict, "the message moves into the archive: send a new one"));
    }
    Ok((channel_id, seq))
}
