//! `/support/messages/{ms_id}/receivers/{user_id}`: why a message has reached a user, or has not.

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use super::deliveries::AttemptView;
use super::messages::MessageView;
use super::support::{ChannelView, IntervalView, Look, ReasonQuery};
use super::wire::{Id, PathPair, Query, rfc3339};
use super::{Api, Authenticated, Now};
use crate::base::audit::Action;
use crate::base::error::Result;
use crate::base::number::MsId;
use crate::delivery::push::{GivenUp, Waiting};
use crate::records::diagnosis::{self, Diagnosis, Finding, Question};

pub fn routes() -> Router<Api> {
    Router::new().route("/support/messages/{ms_id}/receivers/{user_id}", get(diagnose))
}

#[derive(Serialize)]
struct DiagnosisView {
    finding: Finding,
    user: UserView,
    status: Option<&'static str>,
    verdict: Option<&'static str>,
    verdict_reason: Option<String>,
    #[serde(with = "rfc3339::option")]
    last_modified_time: Option<OffsetDateTime>,
    archived: bool,
    gateway: &'static str,
    waiting: Option<WaitingView>,
    dead_letter: Option<GivenUpView>,
    attempts: Vec<AttemptView>,
    intervals: Vec<IntervalView>,
    channel: ChannelView,
    message: MessageView,
}

#[derive(Serialize)]
struct UserView {
    user_id: String,
    name: String,
    active: bool,
}

#[derive(Serialize)]
struct WaitingView {
    batch_id: Option<String>,
    attempts: i32,
    retries: i32,
    #[serde(with = "rfc3339")]
    queued_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    due_at: Option<OffsetDateTime>,
    held: bool,
}

#[derive(Serialize)]
struct GivenUpView {
    dead_id: Id,
    reason: String,
    #[serde(with = "rfc3339")]
    dead_at: OffsetDateTime,
}

impl From<Waiting> for WaitingView {
    fn from(w: Waiting) -> Self {
        Self {
            batch_id: w.batch_id.map(|id| id.to_string()),
            attempts: w.attempts,
            retries: w.retries,
            queued_at: w.queued_at,
            due_at: w.due_at,
            held: w.held,
        }
    }
}

impl From<GivenUp> for GivenUpView {
    fn from(d: GivenUp) -> Self {
        Self { dead_id: Id(d.dead_id), reason: d.reason, dead_at: d.dead_at }
    }
}

impl DiagnosisView {
    fn of(found: Diagnosis, gateway: &'static str) -> Self {
        let receipt = found.receipt;
        Self {
            finding: found.finding,
            status: receipt.as_ref().map(|r| r.status.as_str()),
            verdict: receipt.as_ref().and_then(|r| r.verdict).map(|v| v.as_str()),
            last_modified_time: receipt.as_ref().map(|r| r.last_modified_time),
            verdict_reason: receipt.and_then(|r| r.verdict_reason),
            user: UserView { user_id: found.user.user_id, name: found.user.name, active: found.user.active },
            archived: found.is_cold,
            gateway,
            waiting: found.push.waiting.map(Into::into),
            dead_letter: found.push.dead.map(Into::into),
            attempts: found.push.attempts.into_iter().map(Into::into).collect(),
            intervals: found.intervals.into_iter().map(Into::into).collect(),
            channel: found.channel.into(),
            message: found.message.into(),
        }
    }
}

async fn diagnose(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathPair(ms_id, user_id): PathPair<i64, String>,
    Query(query): Query<ReasonQuery>,
) -> Result<Reply<DiagnosisView>> {
    let look = Look::new(&api, &caller, now, query.reason.as_deref())?;
    let gateway = api.callbacks.gateway_state(now);
    let question = Question { ms_id: MsId(ms_id), user_id: &user_id, gateway, now };
    let found = diagnosis::diagnose(&api.store, api.archive(), question).await?;
    let filter = json!({"ms_id": ms_id.to_string(), "user_id": user_id});
    look.record(Action::Receipts, filter, 1).await?;
    Ok(Reply(DiagnosisView::of(found, gateway)))
}
