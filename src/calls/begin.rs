//! A call begins: the rules of a send hold, and the other people of the channel are called.

use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::call::{Call, Calls};
use crate::base::claim::{self, Claim};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{CallId, ChannelId};
use crate::base::store::{self, Statements, retrying};
use crate::chat::message::{refused, silenced};
use crate::events::{self, NewEvent, Type};
use crate::sql;

/// What a caller asks for.
#[derive(Debug, Serialize)]
pub struct NewCall {
    pub channel_id: ChannelId,
    /// `audio` or `video`.
    pub media: String,
    /// The caller's own id of this request. It makes a repeat safe.
    #[serde(skip)]
    pub client_id: Option<String>,
}

/// Whether a member can talk in a channel.
pub(super) struct Judgement {
    outcome: String,
    running: Option<CallId>,
    until: Option<OffsetDateTime>,
    wait_s: i64,
}

impl NewCall {
    fn claim<'a>(&'a self, caller: &'a str) -> Option<Claim<'a>> {
        self.client_id.as_deref().map(|client_id| Claim { caller, call: "call", client_id })
    }
}

impl Calls {
    /// Calls the other people of a channel. Returns the call, and whether it is new: a repeat with the same `client_id`
    /// returns the first call.
    ///
    /// # Errors
    /// `Kind::CallRunning` if there is a call in the channel; the errors of a send.
    pub async fn begin(&self, caller: &str, new: &NewCall) -> Result<(Call, bool)> {
        if !matches!(new.media.as_str(), "audio" | "video") {
            return Err(Error::field("/media", "must be audio or video"));
        }
        if let Some(call_id) = self.begun_before(caller, new).await? {
            return Ok((self.repeated(call_id, caller).await?, false));
        }
        match retrying(|| self.begin_once(caller, new)).await? {
            Some(call_id) => {
                self.events.notify_one();
                Ok((self.get(call_id, caller).await?, true))
            }
            None => {
                let call_id = self.begun_before(caller, new).await?.ok_or_else(claim::forgotten)?;
                Ok((self.repeated(call_id, caller).await?, false))
            }
        }
    }

    async fn begun_before(&self, caller: &str, new: &NewCall) -> Result<Option<CallId>> {
        let Some(claim) = new.claim(caller) else { return Ok(None) };
        let kept = claim.kept(&self.store.client().await?).await?;
        kept.map(|kept| kept.of(&claim::digest(new)?).map(CallId)).transpose()
    }

    async fn repeated(&self, call_id: CallId, caller: &str) -> Result<Call> {
        self.get(call_id, caller).await.map_err(|e| if e.kind == Kind::NotFound { claim::gone() } else { e })
    }

    /// `None`: a concurrent call with the same client id was first.
    async fn begin_once(&self, caller: &str, new: &NewCall) -> Result<Option<CallId>> {
        let NewCall { channel_id, media, .. } = new;
        // Many can call at once. Those who wait for a channel must not hold all connections.
        let _turn = self.store.turn().await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let locked = tx.opt(sql!("calls/begin/lock"), &[channel_id, &caller]).await?;
        locked.ok_or_else(|| Error::not_found("no such channel"))?;
        // A repeat must not find the call of the first one in its way.
        if let Some(claim) = new.claim(caller)
            && claim.kept(&tx).await?.is_some()
        {
            return Ok(None);
        }
        self.judge(&tx, *channel_id, caller).await?.check(self.settings.users, &[])?;
        let now = store::now(&tx).await?;
        let (rings_until, ends_by) = (now + self.settings.ring, now + self.settings.longest);
        let row = tx
            .one(sql!("calls/begin/insert"), &[channel_id, &caller, media, &now, &rings_until, &ends_by])
            .await?;
        if row.get::<_, i64>("users") < 2 {
            let detail = "the channel has no other person who could be called";
            return Err(Error::new(Kind::Conflict, detail));
        }
        let call_id: CallId = row.get("call_id");
        if let Some(claim) = new.claim(caller)
            && !claim.keep(&tx, &claim::digest(new)?, (call_id.0, now)).await?
        {
            return Ok(None);
        }
        let data = json!({
            "call_id": call_id,
            "channel_id": channel_id,
            "caller": caller,
            "media": media,
            "rings_until": rings_until.format(&Rfc3339).map_err(Error::internal)?,
        });
        let (what, channel_id) = (Type::CallRinging, *channel_id);
        events::emit(&tx, NewEvent { what, channel_id, actor: caller, data, besides: &[] }).await?;
        tx.commit().await?;
        Ok(Some(call_id))
    }

    /// Whether a member can talk in a channel that the transaction has locked.
    pub(super) async fn judge(
        &self,
        tx: &Transaction<'_>,
        channel_id: ChannelId,
        user_id: &str,
    ) -> Result<Judgement> {
        let most = i32::try_from(self.settings.users).unwrap_or(i32::MAX);
        let row = tx
            .one(sql!("calls/begin/judge"), &[&channel_id, &user_id, &self.needs_friendship, &most])
            .await?;
        Ok(Judgement {
            outcome: row.get("outcome"),
            running: row.get("call_id"),
            until: row.get("until"),
            wait_s: row.get("wait_s"),
        })
    }
}

impl Judgement {
    /// Refuses a member who cannot talk, unless the reason is one of these.
    pub fn check(&self, most: u32, excused: &[&str]) -> Result<()> {
        match (self.outcome.as_str(), self.running, self.until) {
            ("admitted", ..) => Ok(()),
            (outcome, ..) if excused.contains(&outcome) => Ok(()),
            ("running", Some(call_id), _) => Err(Error::call_running(call_id)),
            ("silenced", _, Some(until)) => Err(silenced(until, self.wait_s)?),
            ("too_many", ..) => Err(Error::field(
                "/channel_id",
                format!("is a channel with more than {most} members: call in a smaller one"),
            )),
            (outcome, ..) => Err(refused(outcome)),
        }
    }
}
