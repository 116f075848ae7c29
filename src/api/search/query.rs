//! The parameters of a search, and what they mean.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::wire::{check_reason, read_cursor};
use crate::api::{Api, Viewer};
use crate::base::analyzer;
use crate::base::cron::Zone;
use crate::base::error::{Error, Result};
use crate::base::number::{self, ChannelId, MsId};
use crate::base::store::Store;
use crate::chat::message::{Content, FORWARD, TOPIC_RULE, is_topic};
use crate::delivery::status::Status;
use crate::identity::Caller;
use crate::people::contacts::{self, NamedUser};
use crate::records::search::Search;

/// Most characters of a search text.
const QUERY_MAX_CHARS: usize = 200;

/// The parameters as they were given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    q: Option<String>,
    sender: Option<String>,
    receiver: Option<String>,
    channel_id: Option<String>,
    #[serde(rename = "type")]
    ms_type: Option<String>,
    from: Option<String>,
    to: Option<String>,
    status: Option<String>,
    direction: Option<String>,
    mentions: Option<String>,
    topic: Option<String>,
    reason: Option<String>,
    pub format: Option<String>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}
/// The `ms_id` below which the next page begins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Below {
    #[serde(with = "number::plain")]
    pub below: MsId,
}

/// The file that an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
}

impl SearchQuery {
    /// Replaces user names by user ids.
    async fn name_people(&mut self, store: &Store, viewer: &contacts::Viewer) -> Result<()> {
        for (name, said) in [("sender", &mut self.sender), ("receiver", &mut self.receiver)] {
            if let Some(typed) = said {
                *typed = meant(store, viewer, name, typed).await?;
            }
        }
        Ok(())
    }

    fn search(&self, zone: Zone) -> Result<Search> {
        let status = match self.status.as_deref() {
            None => None,
            Some(text) => Some(
                Status::parse(text)
                    .ok_or_else(|| Error::parameter("status", "must be unreceived, received or read"))?,
            ),
        };
        if self.ms_type.as_deref().is_some_and(|t| !Content::TYPES.contains(&t) && t != FORWARD) {
            return Err(Error::parameter("type", format!("{}, or {FORWARD}", Content::TYPE_RULE)));
        }
        if self.topic.as_deref().is_some_and(|topic| !is_topic(topic)) {
            return Err(Error::parameter("topic", TOPIC_RULE));
        }
        let channel_id = match self.channel_id.as_deref() {
            None => None,
            Some(id) => Some(
                ChannelId::parse(id)
                    .ok_or_else(|| Error::parameter("channel_id", "must be a decimal string"))?,
            ),
        };
        Ok(Search {
            words: self.words()?,
            sender: self.sender.clone(),
            not_sender: None,
            receiver: self.receiver.clone(),
            status,
            channel_id,
            ms_type: self.ms_type.clone(),
            mentioned: None,
            topic: self.topic.clone(),
            from: moment("from", self.from.as_deref(), |text| zone.day(text).map(|day| day.0))?,
            to: moment("to", self.to.as_deref(), |text| zone.day(text).map(|day| day.1))?,
        })
    }

    fn words(&self) -> Result<Vec<analyzer::Phrase>> {
        let Some(q) = &self.q else {
            return Ok(Vec::new());
        };
        if q.chars().count() > QUERY_MAX_CHARS {
            return Err(Error::parameter("q", format!("must have at most {QUERY_MAX_CHARS} characters")));
        }
        let words = analyzer::parse_query(q);
        if words.is_empty() {
            return Err(Error::parameter(
                "q",
                "must contain a letter, a digit or a symbol such as 😀; punctuation is not searched",
            ));
        }
        Ok(words)
    }

    /// Search by a user. `direction` and `status` refer to the caller.
    pub async fn own(&mut self, api: &Api, caller: &Caller) -> Result<Search> {
        for (name, given) in [("reason", &self.reason), ("format", &self.format)] {
            if given.is_some() {
                return Err(Error::parameter(name, "can only be used in /support/messages"));
            }
        }
        let Viewer(viewer) = Viewer::of(api, caller).await?;
        self.name_people(&api.store, &viewer).await?;
        let caller = &caller.user_id;
        let mut search = self.search(api.zone()?)?;
        search.mentioned = match self.mentions.as_deref() {
            None => None,
            Some("me") => Some(caller.to_owned()),
            Some(_) => return Err(Error::parameter("mentions", "must be me")),
        };
        match self.direction.as_deref() {
            None if search.status.is_some() && search.receiver.is_none() => {
                search.receiver = Some(caller.to_owned());
            }
            None => {}
            Some("from_me") if search.sender.is_none() => search.sender = Some(caller.to_owned()),
            Some("to_me") if search.receiver.is_none() => search.receiver = Some(caller.to_owned()),
            Some("from_me") => {
                return Err(Error::parameter("direction", "from_me cannot be combined with `sender`"));
            }
            Some("to_me") => {
                return Err(Error::parameter("direction", "to_me cannot be combined with `receiver`"));
            }
            Some(_) => return Err(Error::parameter("direction", "must be from_me or to_me")),
        }
        if search.status.is_some() && search.receiver.is_none() {
            return Err(Error::parameter("status", "requires `receiver`"));
        }
        Ok(search)
    }

    /// Search by support, and its reason.
    pub async fn support(&mut self, api: &Api) -> Result<(Search, String)> {
        if self.direction.is_some() {
            return Err(Error::parameter("direction", "cannot be used here; use `sender` or `receiver`"));
        }
        if self.mentions.is_some() {
            return Err(Error::parameter("mentions", "can only be used in /search/messages"));
        }
        let reason = check_reason(self.reason.as_deref())?
            .ok_or_else(|| Error::parameter("reason", "is required: the audit records why you search"))?
            .to_owned();
        self.name_people(&api.store, &contacts::Viewer::default()).await?;
        let search = self.search(api.zone()?)?;
        if search.status.is_some() && search.receiver.is_none() {
            return Err(Error::parameter("status", "requires `receiver`"));
        }
        Ok((search, reason))
    }

    /// The file that was asked for.
    pub fn format(&self) -> Result<Format> {
        match self.format.as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("ndjson") => Ok(Format::Ndjson),
            _ => Err(Error::parameter("format", "must be csv or ndjson")),
        }
    }

    /// The `ms_id` below which the page begins.
    pub fn below(&self) -> Result<MsId> {
        let place: Option<Below> = self.cursor.as_deref().map(read_cursor).transpose()?;
        Ok(place.map_or(MsId::MAX, |place| place.below))
    }

    /// The search parameters as the audit records them.
    pub fn filter(&self) -> Value {
        let given = [
            ("q", &self.q),
            ("sender", &self.sender),
            ("receiver", &self.receiver),
            ("channel_id", &self.channel_id),
            ("type", &self.ms_type),
            ("from", &self.from),
            ("to", &self.to),
            ("status", &self.status),
            ("topic", &self.topic),
            ("format", &self.format),
            ("cursor", &self.cursor),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, json!(value.as_ref()?)))).collect()
    }
}

/// The user that an id or a name refers to.
pub async fn meant(store: &Store, viewer: &contacts::Viewer, parameter: &str, typed: &str) -> Result<String> {
    let people = contacts::by_name(store, viewer, typed).await?;
    match &people[..] {
        [one] => Ok(one.user_id.clone()),
        // For an external user, a user that they cannot see does not exist. The search then finds no
        // messages.
        [] if viewer.external().is_some() => Ok(typed.to_owned()),
        [] => Err(Error::parameter(parameter, "no user has this id, or a name that begins with it")),
        several => {
            let left = |one: &NamedUser| if one.active { "" } else { ", has left" };
            let one = |one: &NamedUser| format!("{} ({}{})", one.user_id, one.name, left(one));
            let listed: Vec<String> = several.iter().map(one).collect();
            Err(Error::parameter(
                parameter,
                format!("several users have this name; use the user_id of one: {}", listed.join(", ")),
            ))
        }
    }
}

/// A time, or the start of a day.
fn moment(
    name: &'static str,
    given: Option<&str>,
    of_day: impl Fn(&str) -> Option<OffsetDateTime>,
) -> Result<Option<OffsetDateTime>> {
    let parse = |text| {
        of_day(text).or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok()).ok_or_else(|| {
            Error::parameter(
                name,
                "must be a date, such as 2026-11-21, or an RFC 3339 time, such as 2026-11-21T08:00:00Z",
            )
        })
    };
    given.map(parse).transpose()
}
