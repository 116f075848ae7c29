//! `/callbacks/{id}/deliveries` and dead letters: list attempts, list dead letters, replay.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::callbacks::manager_of;
use super::wire::{
    Id, Json, LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery, PathPair, PathWord, Query, check_limit, read_cursor,
    rfc3339, write_cursor,
};
use super::{Api, Authenticated, Now};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::delivery::endpoint::GATEWAY;
use crate::delivery::push::{
    self, DeadLetter, DeadLetterDetail, DeadLetters, LoggedEvents, PastAttempt, Replaying,
};
use crate::identity::Role;
use crate::identity::link::{self, Use};

/// Highest rate of a replay, in pushes a second.
const PER_SECOND_MAX: i32 = 100_000;
/// Most characters of the beginning of a reason.
const REASON_MAX_CHARS: usize = 500;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/callbacks/{callback_id}/deliveries", get(deliveries))
        .route("/callbacks/{callback_id}/deliveries/{attempt_id}/payload", get(payload))
        .route("/callbacks/{callback_id}/dead-letters", get(dead_letters))
        .route("/callbacks/{callback_id}/dead-letters/{dead_id}", get(dead_letter))
        .route("/callbacks/{callback_id}/replay", post(replay))
}

#[derive(Serialize)]
pub struct AttemptView {
    attempt_id: Id,
    batch_id: String,
    #[serde(with = "rfc3339")]
    attempted_at: OffsetDateTime,
    duration_ms: i32,
    url: Option<String>,
    request_bytes: Option<i32>,
    http_status: Option<i32>,
    answer: Option<String>,
    error: Option<String>,
    pairs: i32,
    received: i32,
    offline: i32,
    rejected: i32,
    retried: i32,
    unknown: i32,
}

#[derive(Serialize)]
struct PayloadView {
    batch_id: String,
    callback_id: String,
    events: Vec<Box<RawValue>>,
    missing: i64,
}

#[derive(Serialize)]
struct DeadLetterView {
    dead_id: Id,
    channel_id: Option<ChannelId>,
    from_ms_id: Option<MsId>,
    to_ms_id: Option<MsId>,
    event_ids: Option<Vec<Id>>,
    pairs: i32,
    reason: String,
    #[serde(with = "rfc3339")]
    dead_at: OffsetDateTime,
}

#[derive(Serialize)]
struct DeadLetterDetailView {
    #[serde(flatten)]
    letter: DeadLetterView,
    from_seq: Option<i64>,
    to_seq: Option<i64>,
    /// Receivers to which the push was limited. `None`: all receivers of the channel.
    receivers: Option<Vec<String>>,
    event_types: Vec<String>,
    attempts: Vec<AttemptView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLetterQuery {
    reason: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    dead_ids: Option<Vec<Id>>,
    from_dead_id: Option<Id>,
    to_dead_id: Option<Id>,
    #[serde(default, with = "rfc3339::option")]
    since: Option<OffsetDateTime>,
    #[serde(default, with = "rfc3339::option")]
    until: Option<OffsetDateTime>,
    reason: Option<String>,
    #[serde(default, with = "rfc3339::option")]
    events_since: Option<OffsetDateTime>,
    after_event_id: Option<Id>,
    per_second: Option<i32>,
    dry_run: Option<bool>,
}

#[derive(Serialize, Default)]
struct Replayed {
    replayed: i64,
    pairs: i64,
    /// The event at which the next replay call continues, when this one reached its limit.
    next_event_id: Option<Id>,
}

impl From<PastAttempt> for AttemptView {
    fn from(a: PastAttempt) -> Self {
        Self {
            attempt_id: Id(a.attempt_id),
            batch_id: a.batch_id.to_string(),
            attempted_at: a.attempted_at,
            duration_ms: a.duration_ms,
            url: a.url,
            request_bytes: a.request_bytes,
            http_status: a.http_status,
            answer: a.answer,
            error: a.error,
            pairs: a.pairs,
            received: a.received,
            offline: a.offline,
            rejected: a.rejected,
            retried: a.retried,
            unknown: a.unknown,
        }
    }
}

impl From<DeadLetter> for DeadLetterView {
    fn from(d: DeadLetter) -> Self {
        Self {
            dead_id: Id(d.dead_id),
            channel_id: d.channel_id,
            from_ms_id: d.from_ms_id,
            to_ms_id: d.to_ms_id,
            event_ids: d.event_ids.map(|ids| ids.into_iter().map(Id).collect()),
            pairs: d.pairs,
            reason: d.reason,
            dead_at: d.dead_at,
        }
    }
}

impl From<DeadLetterDetail> for DeadLetterDetailView {
    fn from(d: DeadLetterDetail) -> Self {
        Self {
            letter: d.letter.into(),
            from_seq: d.from_seq,
            to_seq: d.to_seq,
            receivers: d.receivers,
            event_types: d.event_types,
            attempts: d.attempts.into_iter().map(Into::into).collect(),
        }
    }
}

impl DeadLetterQuery {
    fn letters(&self, since_aimed: bool) -> Result<DeadLetters> {
        let time = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => OffsetDateTime::parse(text, &Rfc3339)
                .map(Some)
                .map_err(|_| Error::parameter(name, "must be a time, such as 2026-07-30T08:00:00Z")),
        };
        if self.reason.as_deref().is_some_and(is_too_long) {
            return Err(Error::parameter(
                "reason",
                format!("must have at most {REASON_MAX_CHARS} characters"),
            ));
        }
        Ok(DeadLetters {
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            reason: self.reason.clone(),
            since_aimed,
            ..DeadLetters::default()
        })
    }
}

fn is_too_long(reason: &str) -> bool {
    reason.chars().count() > REASON_MAX_CHARS
}

async fn deliveries(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<AttemptView>>> {
    check_managed(&api, &caller, Role::Support, &callback_id).await?;
    let limit = page.limit()?;
    let place = (page.cursor()?.unwrap_or(i64::MAX), limit);
    let attempts = push::attempts(&api.store, &callback_id, place, caller.0.link.is_some()).await?;
    let items = attempts.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(items, limit, |a: &AttemptView| a.attempt_id.0)))
}

/// What was sent belongs to the endpoint: its developer and its application see it, and no other role.
async fn payload(
    State(api): State<Api>,
    caller: Authenticated,
    PathPair(callback_id, attempt_id): PathPair<String, i64>,
) -> Result<Reply<PayloadView>> {
    let by = manager_of(&api, &caller, Role::Admin, &callback_id).await?;
    if caller.0.link.is_none() && by.owner().is_none() {
        let why = "payloads are for the endpoint itself: open a link of the callback (POST …/links), or call as the \
                   application that made it";
        return Err(Error::new(Kind::Forbidden, why));
    }
    api.callbacks.show(&callback_id, by.owner(), by.now).await?;
    let note = json!({"attempt_id": attempt_id.to_string()});
    link::note_use(&api.store, &caller.0, Use::Payload, (&note, by.now)).await?;
    let sent = push::payload(&api.store, &callback_id, attempt_id, caller.0.link.is_some()).await?;
    let sent = sent.ok_or_else(|| Error::not_found("no such attempt, or its events are not kept"))?;
    let push::SentPayload { batch_id, events, missing } = sent;
    Ok(Reply(PayloadView { batch_id, callback_id, events, missing }))
}

async fn dead_letters(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(callback_id): PathWord,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Reply<Page<DeadLetterView>>> {
    check_managed(&api, &caller, Role::Support, &callback_id).await?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let before: i64 = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or(i64::MAX);
    let letters = query.letters(caller.0.link.is_some())?;
    let (items, next) = push::dead_letters(&api.store, &callback_id, &letters, (before, limit)).await?;
    let next_cursor = next.map(|before| write_cursor(&before));
    Ok(Reply(Page { items, next_cursor }.map(Into::into)))
}

async fn dead_letter(
    State(api): State<Api>,
    caller: Authenticated,
    PathPair(callback_id, dead_id): PathPair<String, i64>,
) -> Result<Reply<DeadLetterDetailView>> {
    check_managed(&api, &caller, Role::Support, &callback_id).await?;
    let found = push::dead_letter(&api.store, &callback_id, dead_id, caller.0.link.is_some()).await?;
    Ok(Reply(found.ok_or_else(|| Error::not_found("no such dead letter"))?.into()))
}

async fn replay(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(callback_id): PathWord,
    Json(which): Json<Replay>,
) -> Result<Reply<Replayed>> {
    check_managed(&api, &caller, Role::Admin, &callback_id).await?;
    let (is_link, settings) = (caller.0.link.is_some(), &api.config.callbacks);
    let rate_max = if is_link { settings.link_replay_per_second } else { PER_SECOND_MAX };
    which.check(&callback_id, rate_max)?;
    let (actor, dry_run) = (caller.0.user_id.as_str(), which.dry_run.unwrap_or_default());
    let per_second = which.per_second.or(is_link.then_some(rate_max));
    let waiting_max = is_link.then_some(settings.link_replay_waiting_pairs);
    let replaying = Replaying { callback_id: &callback_id, per_second, actor, now, waiting_max };
    if !dry_run {
        link::note_use(&api.store, &caller.0, Use::Replay, (&which.note(), now)).await?;
    }
    let replayed = match which.events_since {
        Some(since) => {
            let after = which.after_event_id.map_or(0, |id| id.0);
            let logged = LoggedEvents { since, after, dry_run };
            let (events, next) = push::replay_events(&api.store, logged, replaying).await?;
            Replayed { replayed: events, pairs: events, next_event_id: next.map(Id) }
        }
        None => {
            let letters = which.letters(is_link);
            let put = if dry_run {
                push::replayable(&api.store, &letters, replaying).await?
            } else {
                push::replay(&api.store, &letters, replaying).await?
            };
            Replayed { replayed: put.letters, pairs: put.pairs, next_event_id: None }
        }
    };
    if !dry_run {
        api.wakers.dispatch.notify_one();
    }
    Ok(Reply(replayed))
}

impl Replay {
    fn check(&self, callback_id: &str, rate_max: i32) -> Result<()> {
        if self.dead_ids.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::field(
                "/dead_ids",
                "must name at least one dead letter; leave it out to replay all",
            ));
        }
        if self.per_second.is_some_and(|rate| !(1..=rate_max).contains(&rate)) {
            return Err(Error::field("/per_second", format!("must be 1 to {rate_max}")));
        }
        let names_letters = self.dead_ids.is_some()
            || self.from_dead_id.is_some()
            || self.to_dead_id.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || self.reason.is_some();
        if self.events_since.is_some() && names_letters {
            return Err(Error::field(
                "/events_since",
                "cannot be combined with `dead_ids`, `from_dead_id`, `to_dead_id`, `since`, `until` or `reason`",
            ));
        }
        if self.reason.as_deref().is_some_and(is_too_long) {
            return Err(Error::field("/reason", format!("must have at most {REASON_MAX_CHARS} characters")));
        }
        if self.events_since.is_some() && callback_id == GATEWAY {
            return Err(Error::field(
                "/events_since",
                "works only for observers: the gateway gets messages, not events",
            ));
        }
        if self.after_event_id.is_some() && self.events_since.is_none() {
            return Err(Error::field("/after_event_id", "requires `events_since`"));
        }
        Ok(())
    }

    /// What is asked for, for the audit.
    fn note(&self) -> serde_json::Value {
        let ids = self.dead_ids.as_ref().map(|ids| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>());
        let unix = |at: Option<OffsetDateTime>| at.map(OffsetDateTime::unix_timestamp);
        json!({"dead_ids": ids, "since": unix(self.since), "events_since": unix(self.events_since)})
    }

    fn letters(self, since_aimed: bool) -> DeadLetters {
        DeadLetters {
            ids: self.dead_ids.map(|ids| ids.into_iter().map(|id| id.0).collect()),
            from: self.from_dead_id.map(|id| id.0),
            to: self.to_dead_id.map(|id| id.0),
            since: self.since,
            until: self.until,
            reason: self.reason,
            since_aimed,
        }
    }
}

/// Refuses an unknown callback, and for an application the callbacks of others.
pub(super) async fn check_managed(
    api: &Api,
    caller: &Authenticated,
    role: Role,
    callback_id: &str,
) -> Result<()> {
    let by = manager_of(api, caller, role, callback_id).await?;
    if by.owner().is_some() {
        return api.callbacks.show(callback_id, by.owner(), by.now).await.map(|_| ());
    }
    if callback_id == GATEWAY || api.callbacks.get(callback_id).is_some() {
        Ok(())
    } else {
        Err(Error::not_found("no such callback"))
    }
}
