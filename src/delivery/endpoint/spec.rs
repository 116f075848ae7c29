//! The fields that a caller gives for an endpoint, and their checks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::guard::Guard;
use super::{Kind, State, WithoutAnswer};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::people::users::UserKind;

/// Event types to subscribe to. A family such as `channel.*` includes all of its types, also future ones.
pub const EVENT_TYPES: &[&str] = &[
    "message.created",
    "message.received",
    "message.read",
    "message.recalled",
    "message.updated",
    "message.unread",
    "message.unreceived",
    "card.action",
    "channel.created",
    "channel.updated",
    "channel.members_added",
    "channel.members_removed",
    "channel.dissolved",
    "channel.join_request",
    "call.ringing",
    "call.accepted",
    "call.declined",
    "call.left",
    "call.ended",
    "relation.changed",
    "user.created",
    "user.updated",
    "user.deactivated",
    "department.created",
    "department.updated",
    "department.removed",
    "presence.changed",
    "callback.disabled",
    "archive.moved",
    "archive.failed",
];

const URL_MAX_CHARS: usize = 2_048;
const DESCRIPTION_MAX_CHARS: usize = 500;
/// Most channels, and most departments, in a filter.
pub const FILTER_MAX: usize = 1_000;
const HEADERS_MAX: usize = 32;
const HEADER_NAME_MAX_CHARS: usize = 64;
const HEADER_VALUE_MAX_CHARS: usize = 4_096;
const TIMEOUT_MS: RangeInclusive<i32> = 100..=60_000;
/// A sender waits for the gate.
const GATE_TIMEOUT_MS: RangeInclusive<i32> = 100..=10_000;
const CONCURRENCY: RangeInclusive<i32> = 1..=64;
const BATCH_EVENTS: RangeInclusive<i32> = 1..=1_000;
const EVENTS_PER_SECOND: RangeInclusive<i32> = 1..=10_000;

/// Headers that the protocol, the connection or the signature sets.
const HEADERS_OF_OURS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const HEADER_FAMILIES_OF_OURS: &[&str] = &["proxy-", "webhook-"];

/// Fields of a request. `None` keeps the value, or takes the default in a new endpoint. `Some(None)` restores
/// the default.
#[derive(Debug, Default, Serialize)]
pub struct EndpointSpec {
    pub url: Option<String>,
    pub description: Option<Option<String>>,
    pub event_types: Option<Vec<String>>,
    pub channel_ids: Option<Option<Vec<ChannelId>>>,
    pub department_ids: Option<Option<Vec<String>>>,
    /// All headers, by name.
    pub headers: Option<Option<BTreeMap<String, String>>>,
    pub timeout_ms: Option<Option<i32>>,
    pub concurrency: Option<Option<i32>>,
    pub batch_events: Option<Option<i32>>,
    pub events_per_second: Option<Option<i32>>,
    pub without_answer: Option<String>,
    pub sender_kinds: Option<Option<Vec<String>>>,
    pub state: Option<String>,
}

impl EndpointSpec {
    /// Checks every field for an endpoint of this kind.
    pub(super) fn check(&self, kind: Kind, guard: &Guard) -> Result<()> {
        if let Some(url) = &self.url {
            check_url(url, guard)?;
        }
        let description = self.description.iter().flatten();
        for text in description {
            if text.chars().count() > DESCRIPTION_MAX_CHARS || text.chars().any(char::is_control) {
                let detail = "must have at most 500 characters and no control characters";
                return Err(Error::field("/description", detail));
            }
        }
        for headers in self.headers.iter().flatten() {
            check_headers(headers)?;
        }
        within(
            "/timeout_ms",
            self.timeout_ms,
            if kind == Kind::Gate { GATE_TIMEOUT_MS } else { TIMEOUT_MS },
        )?;
        within("/concurrency", self.concurrency, CONCURRENCY)?;
        if !self.state.as_deref().is_none_or(|state| ["active", "paused"].contains(&state)) {
            return Err(Error::field("/state", "must be active or paused"));
        }
        match kind {
            Kind::Observer => self.check_no_gate().and_then(|()| self.check_events()),
            Kind::Gateway => self.check_no_gate().and_then(|()| self.check_no_events()),
            Kind::Gate => self.check_gate().and_then(|()| self.check_no_events()),
        }
    }

    fn check_gate(&self) -> Result<()> {
        if self.without_answer.is_some() && self.without_answer().is_none() {
            return Err(Error::field("/without_answer", "must be allow or refuse"));
        }
        for kinds in self.sender_kinds.iter().flatten() {
            let known = |kind: &String| UserKind::parse(kind).is_some();
            if kinds.is_empty() || !kinds.iter().all(known) {
                let rule = "must be a list of internal, external and application; null means all senders";
                return Err(Error::field("/sender_kinds", rule));
            }
            if kinds.iter().collect::<BTreeSet<_>>().len() < kinds.len() {
                return Err(Error::field("/sender_kinds", "must not contain duplicates"));
            }
        }
        Ok(())
    }

    fn check_no_gate(&self) -> Result<()> {
        let given = [
            ("/without_answer", self.without_answer.is_some()),
            ("/sender_kinds", matches!(self.sender_kinds, Some(Some(_)))),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((pointer, _)) => Err(Error::field(*pointer, "is only for the gate")),
            None => Ok(()),
        }
    }

    fn check_events(&self) -> Result<()> {
        if let Some(event_types) = &self.event_types {
            check_event_types(event_types)?;
        }
        for channel_ids in self.channel_ids.iter().flatten() {
            let distinct = channel_ids.iter().collect::<BTreeSet<_>>().len();
            check_filter("/channel_ids", channel_ids.len(), distinct)?;
        }
        for department_ids in self.department_ids.iter().flatten() {
            for (position, id) in department_ids.iter().enumerate() {
                check_id(id).map_err(|why| Error::field(format!("/department_ids/{position}"), why))?;
            }
            let distinct = department_ids.iter().collect::<BTreeSet<_>>().len();
            check_filter("/department_ids", department_ids.len(), distinct)?;
        }
        within("/batch_events", self.batch_events, BATCH_EVENTS)?;
        within("/events_per_second", self.events_per_second, EVENTS_PER_SECOND)
    }

    /// Checks that an application can have this for an observer of its own.
    pub(super) fn check_own(&self) -> Result<()> {
        let is_own =
            |name: &&String| ["message.", "channel.", "card."].iter().any(|family| name.starts_with(family));
        let foreign = self.event_types.iter().flatten().position(|name| !is_own(&name));
        if let Some(position) = foreign {
            let why = "is only for observers of administrators: an application gets events of `message`, `channel` \
                       and `card`";
            return Err(Error::field(format!("/event_types/{position}"), why));
        }
        if matches!(self.department_ids, Some(Some(_))) {
            let why = "is only for observers of administrators: an application gets events of its channels";
            return Err(Error::field("/department_ids", why));
        }
        Ok(())
    }

    /// The gateway and the gate get messages, under limits of their own, so filters of events and batch fields
    /// are refused.
    fn check_no_events(&self) -> Result<()> {
        let given = [
            ("/event_types", self.event_types.as_ref().is_some_and(|types| !types.is_empty())),
            ("/channel_ids", matches!(self.channel_ids, Some(Some(_)))),
            ("/department_ids", matches!(self.department_ids, Some(Some(_)))),
            ("/batch_events", matches!(self.batch_events, Some(Some(_)))),
            ("/events_per_second", matches!(self.events_per_second, Some(Some(_)))),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((pointer, _)) => {
                Err(Error::field(*pointer, "is only for observers: the gateway and the gate get messages"))
            }
            None => Ok(()),
        }
    }

    /// The state that is asked for.
    pub(super) fn state(&self) -> Option<State> {
        self.state.as_deref().and_then(State::parse)
    }

    /// What is to happen without an answer of the gate.
    pub(super) fn without_answer(&self) -> Option<WithoutAnswer> {
        self.without_answer.as_deref().and_then(WithoutAnswer::parse)
    }

    /// Names of the given fields.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("url", self.url.is_some()),
            ("description", self.description.is_some()),
            ("event_types", self.event_types.is_some()),
            ("channel_ids", self.channel_ids.is_some()),
            ("department_ids", self.department_ids.is_some()),
            ("headers", self.headers.is_some()),
            ("timeout_ms", self.timeout_ms.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("batch_events", self.batch_events.is_some()),
            ("events_per_second", self.events_per_second.is_some()),
            ("without_answer", self.without_answer.is_some()),
            ("sender_kinds", self.sender_kinds.is_some()),
            ("state", self.state.is_some()),
        ];
        fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
    }
}

/// Checks that an address is usable and allowed.
fn check_url(text: &str, guard: &Guard) -> Result<()> {
    let refuse = |why: &'static str| Error::field("/url", why);
    if text.chars().count() > URL_MAX_CHARS {
        return Err(refuse("must have at most 2,048 characters"));
    }
    let url = Url::parse(text).map_err(|_| refuse("must be an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("must not contain a user or password: put credentials into `headers`"));
    }
    if url.fragment().is_some() {
        return Err(refuse("must not have a fragment: the part after # is never sent"));
    }
    guard.check(&url).map_err(|_| refuse("is not allowed: add its host or network to callback_allow"))
}

fn check_event_types(event_types: &[String]) -> Result<()> {
    let known = |text: &str| match text.strip_suffix(".*") {
        Some(family) => EVENT_TYPES.iter().any(|known| known.split('.').next() == Some(family)),
        None => EVENT_TYPES.contains(&text),
    };
    if event_types.is_empty() {
        return Err(Error::field("/event_types", "must contain at least one event type"));
    }
    let mut seen = BTreeSet::new();
    for (position, text) in event_types.iter().enumerate() {
        let refuse = |why: &'static str| Error::field(format!("/event_types/{position}"), why);
        if !known(text) {
            return Err(refuse("is not a known event type or family"));
        }
        if !seen.insert(text) {
            return Err(refuse("is named twice"));
        }
    }
    Ok(())
}

fn check_filter(pointer: &'static str, count: usize, distinct: usize) -> Result<()> {
    if count == 0 || count > FILTER_MAX {
        return Err(Error::field(pointer, "must have 1 to 1,000 entries; null means no filter"));
    }
    if distinct < count { Err(Error::field(pointer, "must not contain duplicates")) } else { Ok(()) }
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<()> {
    if headers.len() > HEADERS_MAX {
        return Err(Error::field("/headers", "must have at most 32 entries"));
    }
    let mut seen = BTreeSet::new();
    for (name, value) in headers {
        let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        let refuse = |why: &'static str| Err(Error::field(pointer.clone(), why));
        let lower = name.to_ascii_lowercase();
        if name.len() > HEADER_NAME_MAX_CHARS || HeaderName::try_from(name).is_err() {
            return refuse("must be a header name of at most 64 characters");
        }
        let ours = HEADERS_OF_OURS.contains(&lower.as_str())
            || HEADER_FAMILIES_OF_OURS.iter().any(|family| lower.starts_with(family));
        if ours {
            return refuse("is set by the service itself");
        }
        if !seen.insert(lower) {
            return refuse("is named twice");
        }
        let clean = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value;
        if value.len() > HEADER_VALUE_MAX_CHARS || !clean || HeaderValue::try_from(value).is_err() {
            return refuse(
                "must have at most 4,096 characters of printable ASCII, without blanks at its ends",
            );
        }
    }
    Ok(())
}

fn within(pointer: &'static str, value: Option<Option<i32>>, range: RangeInclusive<i32>) -> Result<()> {
    match value.flatten() {
        Some(value) if !range.contains(&value) => {
            Err(Error::field(pointer, format!("must be {} to {}", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}
