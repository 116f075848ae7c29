//! `/operations/overview`: how the service is, what it has done in the last hours, and what needs a person.

mod attention;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::service::{self, Ready};
use super::wire::{Id, rfc3339};
use super::{Api, Authenticated, Now};
use crate::archive::mover;
use crate::base::error::Result;
use crate::base::number::MsId;
use crate::delivery::endpoint::{Endpoint, State as EndpointState};
use crate::files::Stored;
use crate::identity::Role;
use crate::records::traffic::{HOURS, Hour, Traffic, traffic};
use crate::sync;
use crate::sync::edit::EditState;
use attention::{Attention, Facts, attention};

/// Most conflicts of edits that are counted.
const CONFLICTS_MAX: i64 = 100;

pub fn routes() -> Router<Api> {
    Router::new().route("/operations/overview", get(overview))
}

#[derive(Serialize)]
struct Overview {
    #[serde(with = "rfc3339")]
    as_of: OffsetDateTime,
    readiness: Ready,
    attention: Vec<Attention>,
    /// `None`: the database does not answer.
    numbers: Option<Numbers>,
}

#[derive(Serialize)]
struct Numbers {
    traffic: TrafficView,
    push: PushView,
    archive: ArchiveView,
    directory: DirectoryView,
    files: FilesView,
}

#[derive(Serialize)]
struct TrafficView {
    #[serde(with = "rfc3339")]
    from: OffsetDateTime,
    estimated: bool,
    hours: Vec<HourView>,
}

#[derive(Serialize)]
struct HourView {
    #[serde(with = "rfc3339")]
    from: OffsetDateTime,
    messages: i64,
    receivers: i64,
    pushed: i64,
    received: i64,
    read: i64,
}

/// All callbacks together.
#[derive(Serialize, Default)]
struct PushView {
    active: i64,
    paused: i64,
    disabled: i64,
    /// Those whose breaker is not closed.
    failing: i64,
    waiting_pairs: i64,
    #[serde(with = "rfc3339::option")]
    oldest_queued_at: Option<OffsetDateTime>,
    dead_letters: i64,
    estimated: bool,
}

#[derive(Serialize)]
struct ArchiveView {
    #[serde(with = "rfc3339::option")]
    cold_before: Option<OffsetDateTime>,
    last_run: Option<ArchiveRunView>,
    lost_days: i64,
}

#[derive(Serialize)]
struct ArchiveRunView {
    run_id: Id,
    #[serde(with = "rfc3339")]
    asked_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    outcome: Option<mover::Outcome>,
}

#[derive(Serialize)]
struct DirectoryView {
    last_run: Option<DirectoryRunView>,
    edit_conflicts: usize,
}

#[derive(Serialize)]
struct DirectoryRunView {
    run_id: Id,
    state: sync::RunState,
    #[serde(with = "rfc3339")]
    asked_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct FilesView {
    stored: i64,
    recent: i64,
    estimated: bool,
}

async fn overview(State(api): State<Api>, caller: Authenticated, Now(now): Now) -> Result<Reply<Overview>> {
    caller.must_be(Role::Admin)?;
    let readiness = service::readiness(&api, now).await;
    if readiness.database == "away" {
        let attention = attention(now, &readiness, None);
        return Ok(Reply(Overview { as_of: now, readiness, attention, numbers: None }));
    }
    let now = api.store.now().await?;
    let facts = facts(&api, now).await?;
    let attention = attention(now, &readiness, Some(&facts));
    let numbers = Some(Numbers::of(facts, traffic(&api.store, now).await?));
    Ok(Reply(Overview { as_of: now, readiness, attention, numbers }))
}

/// What the database knows. Every statement reads a limited number of rows.
async fn facts(api: &Api, now: OffsetDateTime) -> Result<Facts> {
    let cold = api.store.horizon().await?.cold;
    let conflicts = api.edits.list(Some(EditState::Conflict), i64::MAX, CONFLICTS_MAX).await?;
    Ok(Facts {
        endpoints: api.callbacks.list(None, now).await?,
        cold_before: (cold > MsId(0)).then(|| minted_at(cold)),
        last_move: mover::runs(&api.store, i64::MAX, 1).await?.pop(),
        lost_days: mover::lost_days(&api.store).await?,
        last_run: sync::runs(&api.store, i64::MAX, 1).await?.pop(),
        held_run: sync::held(&api.store).await?,
        edit_conflicts: conflicts.len(),
        files: api.files.stored(now - Duration::hours(i64::from(HOURS))).await?,
    })
}

/// The time at which an id was given.
fn minted_at(ms_id: MsId) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(ms_id.0 >> 22)
}

impl Numbers {
    fn of(facts: Facts, traffic: Traffic) -> Self {
        let Traffic { from, estimated, hours } = traffic;
        let Stored { files, recent, estimated: files_estimated } = facts.files;
        let last_move = facts.last_move.map(|run| ArchiveRunView {
            run_id: Id(run.run_id),
            asked_at: run.asked_at,
            ended_at: run.ended_at,
            outcome: run.outcome,
        });
        let last_run = facts.last_run.map(|run| DirectoryRunView {
            run_id: Id(run.run_id),
            state: run.state,
            asked_at: run.asked_at,
            ended_at: run.ended_at,
        });
        Self {
            traffic: TrafficView { from, estimated, hours: hours.into_iter().map(Into::into).collect() },
            push: PushView::of(&facts.endpoints),
            archive: ArchiveView {
                cold_before: facts.cold_before,
                last_run: last_move,
                lost_days: facts.lost_days,
            },
            directory: DirectoryView { last_run, edit_conflicts: facts.edit_conflicts },
            files: FilesView { stored: files, recent, estimated: files_estimated },
        }
    }
}

impl PushView {
    fn of(endpoints: &[Endpoint]) -> Self {
        let mut sum = Self::default();
        for endpoint in endpoints {
            match endpoint.state {
                EndpointState::Active => sum.active += 1,
                EndpointState::Paused => sum.paused += 1,
                EndpointState::Disabled => sum.disabled += 1,
            }
            sum.failing += i64::from(endpoint.breaker != "closed");
            sum.waiting_pairs += endpoint.waiting_pairs;
            let oldest = [sum.oldest_queued_at, endpoint.oldest_queued_at];
            sum.oldest_queued_at = oldest.into_iter().flatten().min();
            sum.dead_letters += endpoint.dead;
            sum.estimated |= endpoint.estimated;
        }
        sum
    }
}

impl From<Hour> for HourView {
    fn from(hour: Hour) -> Self {
        let Hour { from, messages, receivers, pushed, received, read } = hour;
        Self { from, messages, receivers, pushed, received, read }
    }
}
