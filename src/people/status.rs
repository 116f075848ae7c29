//! What users say of themselves for a while: "on holiday", with an emoji and an end.

use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::base::text::is_label;
use crate::sql;

/// Most characters of the text, and of the emoji. An emoji can be several characters, or the id of one of the company's.
const TEXT_MAX_CHARS: usize = 100;
const EMOJI_MAX_CHARS: usize = 64;
/// The latest end of a status, from now on.
const UNTIL_MAX: time::Duration = time::Duration::days(366);

/// The status that a user shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStatus {
    pub text: String,
    pub emoji: Option<String>,
    /// From then on it is not shown any more.
    pub until: Option<OffsetDateTime>,
}

impl UserStatus {
    /// The status in a row with the columns `status_text`, `status_emoji` and `status_until`, if the user shows one.
    pub(super) fn of_row(row: &Row) -> Option<Self> {
        let text = row.get::<_, Option<String>>("status_text")?;
        Some(Self { text, emoji: row.get("status_emoji"), until: row.get("status_until") })
    }

    fn check(&self, now: OffsetDateTime) -> Result<()> {
        let rule = |most| format!("must be one line of 1 to {most} characters, at least one of them visible");
        if !is_label(&self.text, TEXT_MAX_CHARS) {
            return Err(Error::field("/text", rule(TEXT_MAX_CHARS)));
        }
        if !self.emoji.as_ref().is_none_or(|emoji| is_label(emoji, EMOJI_MAX_CHARS)) {
            return Err(Error::field("/emoji", rule(EMOJI_MAX_CHARS)));
        }
        match self.until {
            Some(until) if until <= now || until > now + UNTIL_MAX => {
                Err(Error::field("/until", "must be in the future, within 366 days"))
            }
            _ => Ok(()),
        }
    }
}

/// Sets the status that a user shows.
pub async fn set(store: &Store, user_id: &str, status: &UserStatus, now: OffsetDateTime) -> Result<()> {
    status.check(now)?;
    let UserStatus { text, emoji, until } = status;
    store.one(sql!("people/status/set"), &[&user_id, text, emoji, until, &now]).await?;
    Ok(())
}

/// Removes the status that a user shows, if there is one.
pub async fn clear(store: &Store, user_id: &str) -> Result<()> {
    store.opt(sql!("people/status/clear"), &[&user_id]).await?;
    Ok(())
}
