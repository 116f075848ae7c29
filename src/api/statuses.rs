//! `/users/me/status`: what users say of themselves for a while.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::put;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::wire::{Json, rfc3339};
use super::{Api, Person};
use crate::base::error::{Error, Result};
use crate::people::status::{self, UserStatus};

pub fn routes() -> Router<Api> {
    Router::new().route("/users/me/status", put(set).delete(clear))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    text: String,
    emoji: Option<String>,
    until: Option<String>,
}

/// The status of a user on the wire.
#[derive(Serialize)]
pub struct UserStatusView {
    text: String,
    emoji: Option<String>,
    #[serde(with = "rfc3339::option")]
    until: Option<OffsetDateTime>,
}

impl From<UserStatus> for UserStatusView {
    fn from(s: UserStatus) -> Self {
        Self { text: s.text, emoji: s.emoji, until: s.until }
    }
}

async fn set(
    State(api): State<Api>,
    Person(caller): Person,
    Json(new): Json<NewStatus>,
) -> Result<Reply<UserStatusView>> {
    let until = new.until.as_deref().map(time_of).transpose()?;
    let status = UserStatus { text: new.text, emoji: new.emoji, until };
    // The clock of the database, which decides when a status has ended.
    let now = api.store.now().await?;
    status::set(&api.store, &caller.user_id, &status, now).await?;
    Ok(Reply(status.into()))
}

/// A time, in UTC.
fn time_of(text: &str) -> Result<OffsetDateTime> {
    let parsed = OffsetDateTime::parse(text, &Rfc3339).ok();
    let utc = parsed.and_then(|time| time.checked_to_offset(time::UtcOffset::UTC));
    utc.ok_or_else(|| Error::field("/until", "must be a time of RFC 3339, such as 2026-07-30T17:00:00+08:00"))
}

async fn clear(State(api): State<Api>, Person(caller): Person) -> Result<StatusCode> {
    status::clear(&api.store, &caller.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
