//! What support and administrators can put right: groups without an owner, a nudge, the replay of a dead letter.

use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};

use super::calls::{Calls, Operations, part};
use super::case::Form;
use super::visit::Visit;
use super::{LIMIT, Shown};
use crate::api::Api;
use crate::base::error::Error;
use crate::console::answers::{Around, Attendance, Channel, Page, Receipts};
use crate::console::frame::{Part, link};
use crate::console::nudge;
use crate::console::replay::{self, Pair};
use crate::console::upkeep::answers::{Absent, DeadLetter, Nudged};
use crate::console::upkeep::groups;

/// Members among which the form of a rescue offers an owner.
const MEMBERS: &str = "200";

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/console/groups", get(groups_page))
        .route("/console/rescue", get(rescue_page).post(rescue))
        .route("/console/absent", get(absent_page))
        .route("/console/nudge", get(nudge_page).post(send_nudge))
        .route("/console/replay-one", get(replay_page).post(send_replay))
}

async fn groups_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let mut params = vec![("owner", "none"), ("limit", LIMIT)];
    params.extend(visit.cursor());
    let page: Page<Channel> = calls.look("/support/channels", &params).await?;
    Ok(visit.html(groups::list(&visit.frame(Part::People, &calls.made), &page)))
}

async fn rescue_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let path = format!("/support/channels/{}", part(visit.param("channel_id")));
    let group: Channel = calls.look(&path, &[]).await?;
    let members: Page<Attendance> = calls.look(&format!("{path}/members"), &[("limit", MEMBERS)]).await?;
    Ok(visit.html(groups::rescue(&visit.frame(Part::People, &calls.made), &group, &members)))
}

async fn rescue(visit: Visit, Extension(operations): Extension<Operations>, form: Form) -> Shown {
    let calls = Calls::without_case(&operations, &visit);
    let path = format!("/support/channels/{}/owner", part(form.field("channel_id")));
    let owner = json!({"user_id": form.field("user_id").trim(), "reason": form.field("reason")});
    calls.change::<Value>(Method::POST, &path, Some(&owner)).await?;
    Ok(form.done())
}

async fn absent_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let state = visit.param("state");
    let mut params = vec![("limit", LIMIT)];
    params.extend((!state.is_empty()).then_some(("state", state)));
    params.extend(visit.cursor());
    let page: Page<Absent> = calls.look("/support/users", &params).await?;
    Ok(visit.html(groups::absent(&visit.frame(Part::People, &calls.made), &page, state)))
}

async fn nudge_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let Some(mut calls) = Calls::of(&operations, &visit) else { return Ok(visit.ask_reason()) };
    let ms_id = visit.param("ms_id");
    let receipts: Receipts =
        calls.look(&format!("/messages/{}/receipts", part(ms_id)), &[("limit", "1")]).await?;
    let path = format!("/support/channels/{}/messages", receipts.channel_id);
    let around: Around = calls.look(&path, &[("around", ms_id), ("limit", "1")]).await?;
    let message = around.position.and_then(|at| around.items.get(at));
    let message = message.ok_or_else(|| Error::not_found("no such message"))?;
    let frame = visit.frame(Part::Delivery, &calls.made);
    Ok(visit.html(nudge::ask(&frame, message, receipts.counts)))
}

async fn send_nudge(visit: Visit, Extension(operations): Extension<Operations>, form: Form) -> Shown {
    let calls = Calls::without_case(&operations, &visit);
    let ms_id = form.field("ms_id");
    let path = format!("/messages/{}/nudge", part(ms_id));
    let done: Nudged = calls.change(Method::POST, &path, None).await?;
    let (urged, over) = (done.urged.to_string(), done.over_limit_count.to_string());
    let page = link("message", &[("ms_id", ms_id), ("nudged", &urged), ("over", &over)]);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response())
}

async fn replay_page(visit: Visit, Extension(operations): Extension<Operations>) -> Shown {
    let mut calls = Calls::without_case(&operations, &visit);
    let path = format!("/callbacks/gateway/dead-letters/{}", part(visit.param("dead_id")));
    let letter: DeadLetter = calls.get(&path, &[]).await?;
    let pair = Pair { ms_id: visit.param("ms_id"), user_id: visit.param("user_id") };
    let frame = visit.frame(Part::Delivery, &calls.made);
    Ok(visit.html(replay::ask(&frame, &letter, pair)))
}

async fn send_replay(visit: Visit, Extension(operations): Extension<Operations>, form: Form) -> Shown {
    let calls = Calls::without_case(&operations, &visit);
    let which = json!({"dead_ids": [form.field("dead_id")]});
    calls.change::<Value>(Method::POST, "/callbacks/gateway/replay", Some(&which)).await?;
    Ok(form.done())
}
