//! `/receipts`, `/channels/{id}/read` and `/messages/{ms_id}/receipts`.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::wire::{
    AtMost, Id, Json, LIMIT_MAX, PathId, Query, check_limit, check_reason, read_cursor, rfc3339, write_cursor,
};
use super::{Api, Now, Person, Proven};
use crate::base::audit::{self, Action, Entry};
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::chat::message::safe_integer;
use crate::delivery::status::Status;
use crate::identity::Role;
use crate::records::receipt::{self, ReadTo, Receipt, Receipts, ReceiptsPage, ReceiverStatus};

/// Most receipts in one call.
const RECEIPTS_MAX: usize = 10_000;
const LIMIT_DEFAULT: i64 = 50;
/// Errors that hide a message which only a role would show.
const HIDDEN: [Kind; 3] = [Kind::NotFound, Kind::Forbidden, Kind::UnknownUser];

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/receipts", post(accept))
        .route("/channels/{channel_id}/read", post(read))
        .route("/messages/{ms_id}/receipts", get(of_message))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewReceipt {
    ms_id: Id,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptsQuery {
    status: Option<String>,
    reason: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct ReceiptsView {
    ms_id: Id,
    channel_id: Id,
    seq: i64,
    counts: Counts,
    items: Vec<ReceiverView>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Counts {
    unreceived: i64,
    received: i64,
    read: i64,
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
    caller: Proven,
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
    Ok(Receipt { ms_id: given.ms_id.0, receiver: given.receiver, status })
}

async fn read(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(channel_id): PathId,
    Json(to): Json<NewCursor>,
) -> Result<Reply<CursorView>> {
    let seq = i64::try_from(to.seq).unwrap_or(i64::MAX);
    let to = ReadTo { channel_id, caller: &caller.user_id, seq };
    let cursor = receipt::read(&api.store, api.archive(), to, now).await?;
    api.receipts.notify_one();
    Ok(Reply(CursorView { read_seq: cursor.read_seq, unread_count: cursor.unread_count }))
}

/// The receipts of a message, if the caller's role or membership allows it.
async fn shown(api: &Api, caller: &Proven, ms_id: i64, page: ReceiptsPage<'_>) -> Result<Receipts> {
    if !page.sees_all {
        caller.must_be(Role::User)?;
        crate::people::users::check_active(&api.store, &caller.0.user_id).await?;
    }
    receipt::of_message(&api.store, api.archive(), ms_id, page).await
}

async fn of_message(
    State(api): State<Api>,
    caller: Proven,
    Now(now): Now,
    PathId(ms_id): PathId,
    Query(query): Query<ReceiptsQuery>,
) -> Result<Reply<ReceiptsView>> {
    let status = match query.status.as_deref() {
        None => None,
        Some(text) => Some(
            Status::parse(text)
                .ok_or_else(|| Error::parameter("status", "must be unreceived, received or read"))?,
        ),
    };
    let reason = check_reason(query.reason.as_deref())?;
    let by_role = caller.must_be(Role::Support).is_ok();
    let sees_all = by_role && reason.is_some();
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let page = ReceiptsPage { caller: &caller.0.user_id, sees_all, status, after: &after, limit };
    let receipts = match shown(&api, &caller, ms_id, page).await {
        Err(e) if by_role && !sees_all && HIDDEN.contains(&e.kind) => {
            return Err(Error::parameter("reason", "is required to see receipts outside your own channels"));
        }
        receipts => receipts?,
    };
    if sees_all {
        let entry = Entry {
            at: now,
            actor: &caller.0.user_id,
            action: Action::Receipts,
            reason,
            filter: json!({"ms_id": ms_id.to_string(), "status": query.status}),
            results: Some(receipts.items.len() as i64),
        };
        audit::append(&api.store, entry).await?;
    }
    let full = receipts.items.len() as i64 >= limit;
    Ok(Reply(ReceiptsView {
        ms_id: Id(receipts.ms_id),
        channel_id: Id(receipts.channel_id),
        seq: receipts.seq,
        counts: Counts { unreceived: receipts.unreceived, received: receipts.received, read: receipts.read },
        next_cursor: receipts.items.last().filter(|_| full).map(|last| write_cursor(&last.receiver)),
        items: receipts.items.into_iter().map(Into::into).collect(),
    }))
}
