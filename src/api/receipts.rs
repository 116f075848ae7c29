//! `/receipts`, `/channels/{id}/read`, `/channels/{id}/received` and `/messages/{ms_id}/receipts`.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::wire::{
    AtMost, Json, LIMIT_MAX, PathId, Query, check_limit, check_reason, read_cursor, rfc3339, write_cursor,
};
use super::{Api, Authenticated, Now, Person};
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::number::{ChannelId, MsId};
use crate::chat::message::safe_integer;
use crate::delivery::status::Status;
use crate::identity::Role;
use crate::records::receipt::{self, Counts, ReadTo, Receipt, ReceiptsPage, ReceiverStatus, Seen};

/// Most receipts in one call.
const RECEIPTS_MAX: usize = 10_000;
const LIMIT_DEFAULT: i64 = 50;
/// Most messages whose counts one call gives, and most characters of the list. The list is part of the URL.
const ASKED_MAX: usize = 100;
const ASKED_MAX_CHARS: usize = 4_096;
/// Errors that hide a message which only a role would show.
const HIDDEN: [Kind; 3] = [Kind::NotFound, Kind::Forbidden, Kind::UnknownUser];

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/receipts", get(of_messages).post(accept))
        .route("/channels/{channel_id}/read", post(read))
        .route("/channels/{channel_id}/received", post(received))
        .route("/messages/{ms_id}/receipts", get(of_message))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewReceipt {
    ms_id: MsId,
    receiver: String,
    status: String,
}

#[derive(Serialize)]
struct Results {
    results: Vec<OutcomeView>,
}

#[derive(Serialize)]
struct OutcomeView {
    status: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCursor {
    #[serde(deserialize_with = "safe_integer")]
    seq: u64,
}

#[derive(Serialize)]
struct CursorView {
    read_seq: i64,
    unread_count: i64,
}

#[derive(Serialize)]
struct ReceivedView {
    received_seq: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptsQuery {
    status: Option<String>,
    reason: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountsQuery {
    ms_ids: String,
    reason: Option<String>,
}

#[derive(Serialize)]
struct ReceiptsView {
    #[serde(flatten)]
    counts: CountsView,
    items: Vec<ReceiverView>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct ManyCounts {
    items: Vec<CountsView>,
    unknown: Vec<MsId>,
}

#[derive(Serialize)]
struct CountsView {
    ms_id: MsId,
    channel_id: ChannelId,
    seq: i64,
    counts: ByStatus,
}

#[derive(Serialize)]
struct ByStatus {
    unreceived: i64,
    received: i64,
    read: i64,
}

impl From<Counts> for CountsView {
    fn from(c: Counts) -> Self {
        let counts = ByStatus { unreceived: c.unreceived, received: c.received, read: c.read };
        Self { ms_id: c.ms_id, channel_id: c.channel_id, seq: c.seq, counts }
    }
}

#[derive(Serialize)]
struct ReceiverView {
    receiver: String,
    name: String,
    status: &'static str,
    verdict: Option<&'static str>,
    verdict_reason: Option<String>,
    #[serde(with = "rfc3339")]
    last_modified_time: OffsetDateTime,
}

impl From<ReceiverStatus> for ReceiverView {
    fn from(r: ReceiverStatus) -> Self {
        Self {
            receiver: r.receiver,
            name: r.name,
            status: r.status.as_str(),
            verdict: r.verdict.map(|v| v.as_str()),
            verdict_reason: r.verdict_reason,
            last_modified_time: r.last_modified_time,
        }
    }
}

async fn accept(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Json(AtMost(given)): Json<AtMost<RECEIPTS_MAX, NewReceipt>>,
) -> Result<Reply<Results>> {
    caller.must_be(Role::Gateway)?;
    if given.is_empty() {
        return Err(Error::field("", "must have at least one item"));
    }
    let receipts: Vec<Receipt> = given.into_iter().enumerate().map(parse).collect::<Result<_>>()?;
    let outcomes = api.inbox.accept(receipts, now).await?;
    api.receipts.notify_one();
    let results = outcomes.iter().map(|o| OutcomeView { status: o.as_str() }).collect();
    Ok(Reply(Results { results }))
}

fn parse((index, given): (usize, NewReceipt)) -> Result<Receipt> {
    let status = match Status::parse(&given.status) {
        Some(status @ (Status::Received | Status::Read)) => status,
        _ => {
            return Err(Error::field(format!("/{index}/status"), "must be received or read"));
        }
    };
    check_id(&given.receiver).map_err(|reason| Error::field(format!("/{index}/receiver"), reason))?;
    Ok(Receipt { ms_id: given.ms_id, receiver: given.receiver, status })
}

async fn read(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(channel_id): PathId<ChannelId>,
    Json(to): Json<NewCursor>,
) -> Result<Reply<CursorView>> {
    let seq = i64::try_from(to.seq).unwrap_or(i64::MAX);
    let to = ReadTo { channel_id, caller: &caller.user_id, seq };
    let cursor = receipt::read(&api.store, api.archive(), to, now).await?;
    api.receipts.notify_one();
    Ok(Reply(CursorView { read_seq: cursor.read_seq, unread_count: cursor.unread_count }))
}

async fn received(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(channel_id): PathId<ChannelId>,
    Json(to): Json<NewCursor>,
) -> Result<Reply<ReceivedView>> {
    let seq = i64::try_from(to.seq).unwrap_or(i64::MAX);
    let to = ReadTo { channel_id, caller: &caller.user_id, seq };
    let received_seq = receipt::receive_up_to(&api.store, api.archive(), to, now).await?;
    api.receipts.notify_one();
    Ok(Reply(ReceivedView { received_seq }))
}

/// Checks that the caller may see what they ask for: by role with a reason, or as an active user.
async fn seen<'a>(api: &Api, caller: &'a Authenticated, reason: Option<&str>) -> Result<Seen<'a>> {
    let all = reason.is_some() && caller.must_be(Role::Support).is_ok();
    if !all {
        caller.must_be(Role::User)?;
        crate::people::users::check_active(&api.store, &caller.0.user_id).await?;
    }
    Ok(Seen { caller: &caller.0.user_id, all })
}

/// The statuses in a list. `unread` stands for both that come before `read`.
fn statuses(text: Option<&str>) -> Result<Vec<Status>> {
    let mut statuses = Vec::new();
    for word in text.into_iter().flat_map(|text| text.split(',')) {
        match (word, Status::parse(word)) {
            ("unread", _) => statuses.extend([Status::Unreceived, Status::Received]),
            (_, Some(status)) => statuses.push(status),
            _ => {
                let rule =
                    "must be unreceived, received, read or unread, or several of them with commas between";
                return Err(Error::parameter("status", rule));
            }
        }
    }
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

async fn of_message(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathId(ms_id): PathId<MsId>,
    Query(query): Query<ReceiptsQuery>,
) -> Result<Reply<ReceiptsView>> {
    let statuses = statuses(query.status.as_deref())?;
    let reason = check_reason(query.reason.as_deref())?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let shown = async {
        let seen = seen(&api, &caller, reason).await?;
        let page = ReceiptsPage { seen, statuses: &statuses, after: &after, limit };
        let receipts = receipt::of_message(&api.store, api.archive(), ms_id, page).await?;
        Ok::<_, Error>((seen.all, receipts))
    };
    let (by_role, receipts) = match shown.await {
        Err(e) if reason.is_none() && caller.must_be(Role::Support).is_ok() && HIDDEN.contains(&e.kind) => {
            return Err(Error::parameter("reason", "is required to see receipts outside your own channels"));
        }
        shown => shown?,
    };
    if by_role {
        let filter = json!({"ms_id": ms_id.to_string(), "status": query.status});
        let results = receipts.items.len();
        note(&api, &caller, Look { at: now, reason, filter, results }).await?;
    }
    let full = receipts.items.len() as i64 >= limit;
    Ok(Reply(ReceiptsView {
        counts: receipts.counts.into(),
        next_cursor: receipts.items.last().filter(|_| full).map(|last| write_cursor(&last.receiver)),
        items: receipts.items.into_iter().map(Into::into).collect(),
    }))
}

async fn of_messages(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    Query(query): Query<CountsQuery>,
) -> Result<Reply<ManyCounts>> {
    let reason = check_reason(query.reason.as_deref())?;
    let ms_ids = asked(&query.ms_ids)?;
    let seen = seen(&api, &caller, reason).await?;
    let counts = receipt::counts(&api.store, api.archive(), &ms_ids, seen).await?;
    if seen.all {
        let filter = json!({"ms_ids": ms_ids});
        note(&api, &caller, Look { at: now, reason, filter, results: counts.len() }).await?;
    }
    let is_found = |ms_id: &MsId| counts.iter().any(|one| one.ms_id == *ms_id);
    let unknown = ms_ids.iter().filter(|ms_id| !is_found(ms_id)).copied().collect();
    Ok(Reply(ManyCounts { items: counts.into_iter().map(Into::into).collect(), unknown }))
}

/// The messages in a list of ids, ascending.
fn asked(text: &str) -> Result<Vec<MsId>> {
    let ids: Vec<&str> = text.split(',').collect();
    if ids.len() > ASKED_MAX || text.len() > ASKED_MAX_CHARS {
        let detail = format!("must name at most {ASKED_MAX} messages in {ASKED_MAX_CHARS} characters");
        return Err(Error::parameter("ms_ids", detail));
    }
    let rule = || Error::parameter("ms_ids", "must be ids of messages, with commas between");
    let mut ms_ids: Vec<MsId> =
        ids.into_iter().map(|id| MsId::parse(id).ok_or_else(rule)).collect::<Result<_>>()?;
    ms_ids.sort_unstable();
    ms_ids.dedup();
    Ok(ms_ids)
}

/// A look at receipts of other users' messages: when, why, which and how many.
struct Look<'a> {
    at: OffsetDateTime,
    reason: Option<&'a str>,
    filter: Value,
    results: usize,
}

/// Records in the audit that receipts of other users' messages were shown.
async fn note(api: &Api, caller: &Authenticated, look: Look<'_>) -> Result<()> {
    let Look { at, reason, filter, results } = look;
    let (actor, action, results) = (caller.0.user_id.as_str(), Action::Receipts, Some(results as i64));
    audit::append(&api.store, Entry { at, actor, action, reason, filter, results }).await
}
