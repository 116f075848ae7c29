//! `/messages/{ms_id}/nudge`: push a message again to the receivers who have not read it.

use axum::extract::State;
use axum::routing::post;
use axum::{Json as Reply, Router};
use serde::Serialize;

use super::wire::PathId;
use super::{Api, Person};
use crate::base::error::Result;
use crate::base::number::MsId;
use crate::records::nudge::{self, Nudge};

pub fn routes() -> Router<Api> {
    Router::new().route("/messages/{ms_id}/nudge", post(nudge))
}

#[derive(Serialize)]
struct NudgedView {
    ms_id: MsId,
    urged: usize,
    over_limit: Vec<String>,
    over_limit_count: usize,
}

async fn nudge(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(ms_id): PathId<MsId>,
) -> Result<Reply<NudgedView>> {
    // The clock of the database, by which steps are due.
    let now = api.store.now().await?;
    let wanted = Nudge { ms_id, by: &caller.user_id, now, every: api.config.chat.nudge_every };
    let nudged = nudge::nudge(&api.store, &api.escalation, wanted).await?;
    Ok(Reply(NudgedView {
        ms_id,
        urged: nudged.urged,
        over_limit: nudged.over,
        over_limit_count: nudged.over_count,
    }))
}
