//! What the users of a call hand each other while it goes on: signals of WebRTC to one of them, and data to all.
//!
//! The service does not look into it and does not log it. It is told live. Only what the sender wants kept is stored, the newest
//! of each name, until the call ends.

use postgres_types::Json;
use serde_json::{Value, json};

use super::call::{Calls, no_call};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{CallId, ChannelId};
use crate::base::store::Statements;
use crate::base::text::is_label;
use crate::events::stream::Hub;
use crate::sql;

/// Most characters of a name.
const NAME_MAX_CHARS: usize = 64;

/// What a user shows to all in a call: the state of a screen that is shared, a stroke on a whiteboard.
#[derive(Debug)]
pub struct Shared {
    pub name: String,
    pub data: Value,
    /// Whether those who come later get the newest of this name.
    pub keep: bool,
}

/// Who is in a call.
struct Present {
    channel_id: ChannelId,
    user_ids: Vec<String>,
}

impl Calls {
    /// Hands a signal to one user of the call.
    pub async fn signal(
        &self,
        hub: &Hub,
        (call_id, from): (CallId, &str),
        to: &str,
        data: &Value,
    ) -> Result<()> {
        check_size(data, self.settings.signal_max_bytes, "call_signal_max_bytes")?;
        let Present { channel_id, user_ids } = self.present(call_id, from).await?;
        if to == from || !user_ids.iter().any(|user_id| user_id == to) {
            return Err(Error::field("/to", "must be another user who is in the call"));
        }
        let told = json!({"call_id": call_id, "channel_id": channel_id, "from": from, "data": data});
        hub.relay(&[to], "call.signal", &told).await
    }

    /// Shows data to all who are in the call.
    pub async fn share(&self, hub: &Hub, (call_id, from): (CallId, &str), shared: &Shared) -> Result<()> {
        let Shared { name, data, keep } = shared;
        if !is_label(name, NAME_MAX_CHARS) {
            let rule =
                format!("must be one line of 1 to {NAME_MAX_CHARS} characters, at least one of them visible");
            return Err(Error::field("/name", rule));
        }
        check_size(data, self.settings.data_max_bytes, "call_data_max_bytes")?;
        if *keep && data.to_string().contains("\\u0000") {
            return Err(Error::field("/data", "must not contain U+0000 if it is kept"));
        }
        let Present { channel_id, user_ids } = self.present(call_id, from).await?;
        if *keep {
            let most = i64::from(self.settings.data_names);
            let kept = self
                .store
                .opt(sql!("calls/relay/keep"), &[&call_id, name, &from, &Json(data), &most])
                .await?;
            kept.ok_or_else(|| {
                Error::new(
                    Kind::Conflict,
                    format!("the call keeps {most} names already: use one of them again"),
                )
            })?;
        }
        let others: Vec<&str> =
            user_ids.iter().map(String::as_str).filter(|user_id| *user_id != from).collect();
        let told =
            json!({"call_id": call_id, "channel_id": channel_id, "from": from, "name": name, "data": data});
        hub.relay(&others, "call.data", &told).await
    }

    /// Checks that a user is in a call that goes on.
    pub async fn check_in(&self, call_id: CallId, user_id: &str) -> Result<()> {
        self.present(call_id, user_id).await.map(|_| ())
    }

    async fn present(&self, call_id: CallId, user_id: &str) -> Result<Present> {
        let row =
            self.store.opt(sql!("calls/relay/users"), &[&call_id, &user_id]).await?.ok_or_else(no_call)?;
        if row.get::<_, &str>("state") == "ended" {
            return Err(Error::new(Kind::Conflict, "the call has ended: call again"));
        }
        if !row.get::<_, bool>("is_in") {
            let detail =
                "the caller of this request is not in the call: accept it with POST /calls/{call_id}/accept";
            return Err(Error::new(Kind::Conflict, detail));
        }
        Ok(Present { channel_id: row.get("channel_id"), user_ids: row.get("joined") })
    }
}

fn check_size(data: &Value, most: usize, setting: &str) -> Result<()> {
    if data.to_string().len() > most {
        let detail = format!("`data` can have at most {most} bytes as JSON (setting `{setting}`)");
        return Err(Error::new(Kind::TooLarge, detail).at("/data"));
    }
    Ok(())
}
