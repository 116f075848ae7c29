//! Cards: a title, fields and buttons, and a version that counts their states.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::{Checked, check_address, check_label, no_nul};
use crate::base::error::{Error, Result};
use crate::base::text::{is_blank, is_label};

const FIELDS_MAX: usize = 50;
const BUTTONS_MAX: usize = 20;
const SHORT_MAX_CHARS: usize = 64;
const VALUE_MAX_CHARS: usize = 2_000;
/// The largest card as JSON.
const BYTES_MAX: usize = 30 * 1024;
/// The last version. The archive orders documents by it.
const VERSION_MAX: u64 = 1_000_000;

const FIELDS: &str =
    "must be at most 50, each with a `name` of 1 to 64 characters and a `value` of at most 2,000 characters";
const BUTTONS: &str = "must be at most 20, each with an `id` of its own and a `text` of 1 to 64 characters";

/// A message with buttons. Its sender gives it new states, and receivers act on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    title: String,
    #[serde(default)]
    fields: Vec<Field>,
    #[serde(default)]
    buttons: Vec<Button>,
    /// 1 at the send. Each update adds 1.
    #[serde(default = "first")]
    version: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Button {
    id: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    style: Option<Style>,
    /// Where the button leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Style {
    Default,
    Primary,
    Danger,
}

/// A new state of a card. `None` leaves a part as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardChange {
    title: Option<String>,
    fields: Option<Vec<Field>>,
    buttons: Option<Vec<Button>>,
    /// The version that the change is based on.
    version: u64,
}

impl CardChange {
    /// The change to the state of a whole card.
    pub fn to(card: Card, version: u64) -> Self {
        let Card { title, fields, buttons, .. } = card;
        Self { title: Some(title), fields: Some(fields), buttons: Some(buttons), version }
    }

    pub fn version(&self) -> u64 {
        self.version
    }
}

impl Card {
    /// The card of a stored content.
    pub fn stored(content: Value) -> Result<Self> {
        serde_json::from_value(content).map_err(Error::internal)
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn has_button(&self, button_id: &str) -> bool {
        self.buttons.iter().any(|button| button.id == button_id)
    }

    /// The next state.
    pub fn changed(mut self, change: &CardChange) -> Result<Self> {
        if let Some(title) = &change.title {
            self.title.clone_from(title);
        }
        if let Some(fields) = &change.fields {
            self.fields.clone_from(fields);
        }
        if let Some(buttons) = &change.buttons {
            self.buttons.clone_from(buttons);
        }
        self.version += 1;
        self.check_state().map_err(|(field, reason)| Error::field(format!("/{field}"), reason))?;
        Ok(self)
    }

    /// Checks a card that is sent.
    pub(super) fn check(&self) -> Checked {
        if self.version != 1 {
            return Err(("version", "must be 1 or absent: a new card has the first version"));
        }
        self.check_state()
    }

    fn check_state(&self) -> Checked {
        check_label("title", &self.title)?;
        if self.fields.len() > FIELDS_MAX || !self.fields.iter().all(Field::fits) {
            return Err(("fields", FIELDS));
        }
        let ids: BTreeSet<&str> = self.buttons.iter().map(|button| button.id.as_str()).collect();
        let fits = self
            .buttons
            .iter()
            .all(|b| is_label(&b.id, SHORT_MAX_CHARS) && is_label(&b.text, SHORT_MAX_CHARS));
        if self.buttons.len() > BUTTONS_MAX || ids.len() < self.buttons.len() || !fits {
            return Err(("buttons", BUTTONS));
        }
        for url in self.buttons.iter().filter_map(|button| button.url.as_deref()) {
            check_address("buttons", url)?;
        }
        if self.version > VERSION_MAX {
            return Err(("version", "a card can have at most 1,000,000 versions"));
        }
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if bytes > BYTES_MAX { Err(("fields", "the card must have at most 30 KiB as JSON")) } else { Ok(()) }
    }
}

impl Field {
    fn fits(&self) -> bool {
        let value = self.value.chars().count() <= VALUE_MAX_CHARS && no_nul("fields", &self.value).is_ok();
        is_label(&self.name, SHORT_MAX_CHARS) && value && !is_blank(&self.value)
    }
}

fn first() -> u64 {
    1
}
