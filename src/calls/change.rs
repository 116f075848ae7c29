//! A call goes on: users accept it, decline it and leave it, and it ends. The end and the message that it leaves are one
//! transaction.
//!
//! Each change holds the lock of the channel, which sends and changes of members hold too. So of several that would end a call
//! one does.

use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::call::{Call, Calls, no_call};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{CallId, ChannelId};
use crate::base::store::{self, Statements, retrying};
use crate::chat::message::{Batch, Bounds, CallRecord, SendOutcome, is_missing_partition};
use crate::events::{self, NewEvent, Type};
use crate::sql;

/// Most users of whom the message of a call is tried. The caller is first.
const SENDERS_MAX: usize = 8;
/// Most users whom the message of a call names.
const NAMED_MAX: i64 = 500;
/// The longest duration that a message can tell.
const DURATION_MAX_MS: i128 = 86_400_000;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Accept,
    Decline,
    Leave,
    /// Its time may be over.
    Expire,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ended,
    Missed,
    Declined,
    Cancelled,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Missed => "missed",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A call under its lock.
struct Locked {
    call_id: CallId,
    channel_id: ChannelId,
    caller: String,
    media: String,
    state: String,
    rings_until: OffsetDateTime,
    ends_by: OffsetDateTime,
    answered_at: Option<OffsetDateTime>,
    /// The place of the user who asks.
    place: Option<String>,
    joined: i64,
    ringing: i64,
    /// Those who are or were in it, the caller first.
    took_part: Vec<String>,
    /// Some of the users who have not come.
    others: Vec<String>,
}

impl Calls {
    /// A member comes into a call. A repeat changes nothing.
    pub async fn accept(&self, call_id: CallId, user_id: &str) -> Result<Call> {
        self.change(call_id, Some(user_id), Step::Accept).await?;
        self.get(call_id, user_id).await
    }

    /// A user who is called does not come. A call that all decline ends.
    pub async fn decline(&self, call_id: CallId, user_id: &str) -> Result<Call> {
        self.change(call_id, Some(user_id), Step::Decline).await?;
        self.get(call_id, user_id).await
    }

    /// A user leaves a call. It ends when fewer than two are left.
    pub async fn leave(&self, call_id: CallId, user_id: &str) -> Result<Call> {
        self.change(call_id, Some(user_id), Step::Leave).await?;
        self.get(call_id, user_id).await
    }

    /// Ends a call whose time is over, or that has too few users left.
    pub(super) async fn expire(&self, call_id: CallId) -> Result<()> {
        let expired = self.change(call_id, None, Step::Expire).await;
        // Its channel cannot go, so the call is pruned meanwhile.
        expired.or_else(|error| if error.kind == Kind::NotFound { Ok(()) } else { Err(error) })
    }

    async fn change(&self, call_id: CallId, user_id: Option<&str>, step: Step) -> Result<()> {
        let changed = retrying(|| self.change_once(call_id, user_id, step)).await;
        let batch = match changed {
            Err(error) if is_missing_partition(&error) => {
                let channel_id: ChannelId =
                    self.store.one(sql!("calls/change/channel"), &[&call_id]).await?.get(0);
                self.batches.make_missing_partitions(&[channel_id]).await?;
                retrying(|| self.change_once(call_id, user_id, step)).await?
            }
            changed => changed?,
        };
        if let Some(batch) = &batch {
            self.batches.wake(batch);
        }
        self.events.notify_one();
        Ok(())
    }

    /// Returns the batch with the message, if the call has ended.
    async fn change_once(&self, call_id: CallId, user_id: Option<&str>, step: Step) -> Result<Option<Batch>> {
        // Many can answer one call at once. Those who wait for its channel must not hold all connections.
        let _turn = self.store.turn().await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        tx.opt(sql!("calls/change/lock_channel"), &[&call_id, &user_id]).await?.ok_or_else(no_call)?;
        // What was read before can be older than the lock.
        let row = tx
            .opt(sql!("calls/change/read"), &[&call_id, &user_id, &NAMED_MAX, &(SENDERS_MAX as i64)])
            .await?
            .ok_or_else(no_call)?;
        if user_id.is_some() && !row.get::<_, bool>("is_member") {
            return Err(no_call());
        }
        let call = Locked::of(&row);
        let now = store::now(&tx).await?;
        if call.state == "ended" {
            return match step {
                Step::Accept => Err(Error::new(Kind::Conflict, "the call has ended: call again")),
                _ => Ok(None),
            };
        }
        let outcome = match (step, user_id) {
            (Step::Accept, Some(user_id)) => {
                self.join(&tx, &call, user_id, now).await?;
                None
            }
            (Step::Decline, Some(user_id)) => decline(&tx, &call, user_id, now).await?,
            (Step::Leave, Some(user_id)) => leave(&tx, &call, user_id, now).await?,
            _ => call.is_over(now),
        };
        let batch = match outcome {
            Some(outcome) => self.finish(&tx, &call, outcome, now).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(batch)
    }

    async fn join(
        &self,
        tx: &Transaction<'_>,
        call: &Locked,
        user_id: &str,
        now: OffsetDateTime,
    ) -> Result<()> {
        if call.is_at("joined") {
            return Ok(());
        }
        let judgement = self.judge(tx, call.channel_id, user_id).await?;
        // Those who are called can answer, also where only admins call, and also a user who is no friend yet.
        judgement.check(self.settings.users, &["running", "only_admins", "no_friends"])?;
        if call.joined >= i64::from(self.settings.users) {
            let detail = format!("the call has {} users already: no more fit", call.joined);
            return Err(Error::new(Kind::Conflict, detail));
        }
        call.place(tx, user_id, "joined", now).await?;
        tx.run(sql!("calls/change/answer"), &[&call.call_id, &now]).await?;
        call.tell(tx, Type::CallAccepted, user_id).await
    }

    /// Ends a call, and leaves its message: of the caller, or of the first of the others who can still send in the channel. If
    /// none of them can, because the channel is dissolved, it leaves none.
    async fn finish(
        &self,
        tx: &Transaction<'_>,
        call: &Locked,
        outcome: Outcome,
        now: OffsetDateTime,
    ) -> Result<Option<Batch>> {
        tx.run(sql!("calls/change/finish"), &[&call.call_id, &outcome.as_str(), &now]).await?;
        let lasted = call.answered_at.map(|at| (now - at).whole_milliseconds().clamp(1, DURATION_MAX_MS));
        let record = CallRecord {
            call_id: call.call_id,
            channel_id: call.channel_id,
            media: call.media.clone(),
            outcome: outcome.as_str(),
            duration_ms: lasted.and_then(|ms| u64::try_from(ms).ok()),
            user_ids: call.took_part.clone(),
        };
        let mut data = json!({"outcome": record.outcome, "user_ids": record.user_ids});
        data["duration_ms"] = record.duration_ms.into();
        call.emit(tx, Type::CallEnded, &call.caller, data).await?;
        for sender in call.took_part.iter().take(SENDERS_MAX).chain(&call.others) {
            let message = record.to_message(sender)?;
            let mut batch = self.batches.store(tx, &[&message], Bounds::Within).await?;
            match batch.outcomes.pop().flatten() {
                Some(SendOutcome::Done(Ok(_))) => return Ok(Some(batch)),
                Some(SendOutcome::Done(Err(refused))) if refused.kind.row().0 < 500 => {}
                Some(SendOutcome::Done(Err(error))) => return Err(error),
                Some(SendOutcome::Locked) | None => {
                    return Err(Error::internal("the channel of a call is locked by another transaction"));
                }
            }
        }
        Ok(None)
    }
}

async fn decline(
    tx: &Transaction<'_>,
    call: &Locked,
    user_id: &str,
    now: OffsetDateTime,
) -> Result<Option<Outcome>> {
    if call.is_at("joined") {
        let detail = "the caller of this request is in the call: leave it with POST /calls/{call_id}/end";
        return Err(Error::new(Kind::Conflict, detail));
    }
    if !call.is_at("ringing") {
        return Ok(None);
    }
    call.place(tx, user_id, "declined", now).await?;
    call.tell(tx, Type::CallDeclined, user_id).await?;
    Ok((call.state == "ringing" && call.ringing <= 1).then_some(Outcome::Declined))
}

async fn leave(
    tx: &Transaction<'_>,
    call: &Locked,
    user_id: &str,
    now: OffsetDateTime,
) -> Result<Option<Outcome>> {
    if call.is_at("left") {
        return Ok(None);
    }
    if !call.is_at("joined") {
        let detail =
            "the caller of this request is not in the call: decline it with POST /calls/{call_id}/decline";
        return Err(Error::new(Kind::Conflict, detail));
    }
    call.place(tx, user_id, "left", now).await?;
    call.tell(tx, Type::CallLeft, user_id).await?;
    Ok(match call.state.as_str() {
        "ringing" => Some(Outcome::Cancelled),
        _ => (call.joined - 1 < 2).then_some(Outcome::Ended),
    })
}

impl Locked {
    fn of(row: &Row) -> Self {
        Self {
            call_id: row.get("call_id"),
            channel_id: row.get("channel_id"),
            caller: row.get("caller"),
            media: row.get("media"),
            state: row.get("state"),
            rings_until: row.get("rings_until"),
            ends_by: row.get("ends_by"),
            answered_at: row.get("answered_at"),
            place: row.get("place"),
            joined: row.get("joined"),
            ringing: row.get("ringing"),
            took_part: row.get("took_part"),
            others: row.get("others"),
        }
    }

    fn is_at(&self, place: &str) -> bool {
        self.place.as_deref() == Some(place)
    }

    /// How it ends by itself, if its time is over.
    fn is_over(&self, now: OffsetDateTime) -> Option<Outcome> {
        if self.state == "live" {
            return (self.joined < 2 || self.ends_by <= now).then_some(Outcome::Ended);
        }
        let is_left = (self.joined < 1).then_some(Outcome::Cancelled);
        is_left.or((self.rings_until <= now).then_some(Outcome::Missed))
    }

    async fn place(
        &self,
        tx: &Transaction<'_>,
        user_id: &str,
        state: &str,
        now: OffsetDateTime,
    ) -> Result<()> {
        tx.run(sql!("calls/change/place"), &[&self.call_id, &user_id, &state, &now]).await?;
        Ok(())
    }

    /// Tells the members what a user did.
    async fn tell(&self, tx: &Transaction<'_>, what: Type, user_id: &str) -> Result<()> {
        self.emit(tx, what, user_id, json!({ "user_id": user_id })).await
    }

    async fn emit(&self, tx: &Transaction<'_>, what: Type, actor: &str, mut data: Value) -> Result<()> {
        data["call_id"] = json!(self.call_id);
        data["channel_id"] = json!(self.channel_id);
        events::emit(tx, NewEvent { what, channel_id: self.channel_id, actor, data, besides: &[] }).await
    }
}
