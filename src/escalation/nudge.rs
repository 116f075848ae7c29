//! A nudge: the sender does the first step by hand.

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};

use super::{Escalation, Page};
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{SHARE_SEAL, Statements, retrying};
use crate::records::history;
use crate::sql;

/// Most receivers that an answer names.
const NAMED_MAX: usize = 1_000;
/// When the worker takes a nudge over, if the call that does it has died.
const TAKEN_OVER: Duration = Duration::minutes(1);

/// A request to push a message again.
#[derive(Debug, Clone, Copy)]
pub struct Nudge<'a> {
    pub ms_id: i64,
    pub by: &'a str,
    pub now: OffsetDateTime,
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

impl Escalation {
    /// Pushes a message again, marked urgent, to the receivers who have not read. Only its sender may, and only once in
    /// a while.
    pub async fn nudge(&self, nudge: Nudge<'_>) -> Result<Nudged> {
        let step = retrying(|| self.begin(nudge)).await?;
        let mut nudged = Nudged::default();
        loop {
            let Page { steps, urged, over } = retrying(|| self.page(Some(step), None, nudge.now)).await?;
            if steps == 0 {
                return Ok(nudged);
            }
            nudged.urged += urged.len();
            nudged.over_count += over.len();
            let room = NAMED_MAX - nudged.over.len();
            nudged.over.extend(over.into_iter().take(room));
        }
    }

    /// Checks the nudge and notes it, with a step of its own.
    async fn begin(&self, nudge: Nudge<'_>) -> Result<i64> {
        let Nudge { ms_id, now, .. } = nudge;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(SHARE_SEAL).await?;
        let (channel_id, seq) = check(&tx, nudge).await?;
        let every_ms = i64::try_from(self.nudge_every.as_millis()).unwrap_or(i64::MAX);
        let noted = tx.one(sql!("escalation/nudge/nudged"), &[&ms_id, &now, &every_ms]).await?;
        if !noted.get::<_, bool>("is_noted") {
            let wait_s = noted.get::<_, i64>("wait_ms").max(0).unsigned_abs().div_ceil(1_000);
            let detail = format!("this message was nudged a short time ago; nudge it again in {wait_s} s");
            return Err(Error::new(Kind::NudgedRecently, detail).retry_after(wait_s));
        }
        let row = tx
            .one(sql!("escalation/nudge/nudge"), &[&ms_id, &channel_id, &seq, &now, &(now + TAKEN_OVER)])
            .await?;
        tx.commit().await?;
        Ok(row.get(0))
    }
}

/// The channel and seq of the message, if the caller may nudge it now. For a caller who cannot see it, it is not found.
async fn check(tx: &Transaction<'_>, nudge: Nudge<'_>) -> Result<(i64, i64)> {
    let missing = || Error::not_found("no such message, or it is in the archive and cannot be nudged");
    let row = tx.opt(sql!("escalation/nudge/message"), &[&nudge.ms_id]).await?.ok_or_else(missing)?;
    let (channel_id, seq): (i64, i64) = (row.get("channel_id"), row.get("seq"));
    let spans = history::visible(tx, channel_id, nudge.by).await?;
    if !history::holds(&spans, channel_id, seq) {
        return Err(missing());
    }
    if row.get::<_, &str>("sender") != nudge.by {
        return Err(Error::new(Kind::Forbidden, "only the sender can nudge for a message"));
    }
    if row.get("is_dissolved") {
        return Err(Error::new(Kind::ChannelDissolved, ""));
    }
    if row.get("is_recalled") {
        return Err(Error::new(Kind::Conflict, "the message was recalled"));
    }
    if row.get("is_sealed") {
        return Err(Error::new(Kind::Conflict, "the message moves into the archive; send a new one"));
    }
    Ok((channel_id, seq))
}
