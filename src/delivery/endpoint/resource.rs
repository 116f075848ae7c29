//! Shows and changes endpoints; creates and removes them in the modules below.

mod create;
mod remove;
mod rotate;
mod trial;

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use url::Url;

use super::encrypt::Label;
use super::registry::{Callbacks, headers_label};
use super::spec::EndpointSpec;
use super::{Kind, State, WithoutAnswer, public_url};
use crate::base::audit::{self, Action, Entry};
use crate::base::claim::Claim;
use crate::base::error::{self, Error, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, retrying};
use crate::sql;

pub use trial::TestResult;

/// Default number of events in a batch.
const BATCH_EVENTS: i32 = 100;
/// The label of an encrypted request body kept for repeats: the body may hold credentials.
const CLAIM: Label<'static> = Label { what: "claim", callback_id: "" };
/// Most rows of a queue, and most dead letters, that are counted one by one.
const COUNTED_MAX: i64 = 5_000;
/// An endpoint as it is shown, with the size of its queue.
#[derive(Debug)]
pub struct Endpoint {
    pub callback_id: String,
    pub kind: Kind,
    pub url: String,
    /// The application whose observer it is.
    pub owner: Option<String>,
    pub from_settings: bool,
    pub description: Option<String>,
    pub event_types: Vec<String>,
    pub channel_ids: Option<Vec<ChannelId>>,
    pub department_ids: Option<Vec<String>>,
    /// None if no key of the settings decrypts them.
    pub header_names: Option<Vec<String>>,
    pub timeout_ms: i32,
    pub concurrency: i32,
    pub batch_events: i32,
    pub events_per_second: Option<i32>,
    /// What happens without an answer of the gate.
    pub without_answer: Option<WithoutAnswer>,
    /// The kinds of senders about whose messages the gate is asked.
    pub sender_kinds: Option<Vec<String>>,
    pub state: State,
    pub failing_since: Option<OffsetDateTime>,
    pub disabled_reason: Option<String>,
    pub created_at: Option<OffsetDateTime>,
    pub updated_at: Option<OffsetDateTime>,
    /// Id, creation time and end; newest first.
    pub secrets: Vec<(i64, OffsetDateTime, Option<OffsetDateTime>)>,
    pub waiting_rows: i64,
    pub waiting_pairs: i64,
    pub oldest_queued_at: Option<OffsetDateTime>,
    pub batches: i64,
    pub dead: i64,
    /// Whether there are more than are counted: the counts are then estimates.
    pub estimated: bool,
    /// State of this replica's breaker.
    pub breaker: &'static str,
}

/// A new secret. It is shown again only to a repeat of the same call.
#[derive(Debug)]
pub struct NewSecret {
    pub secret_id: i64,
    pub secret: String,
    /// When the older secrets end, if there are any.
    pub others_until: Option<OffsetDateTime>,
    /// Whether it was created before, under the same client id.
    pub repeated: bool,
}

/// The editable fields of an endpoint, as they are stored.
struct Fields {
    url: String,
    description: Option<String>,
    event_types: Vec<String>,
    channel_ids: Option<Vec<ChannelId>>,
    department_ids: Option<Vec<String>>,
    headers: Option<Vec<u8>>,
    timeout_ms: Option<i32>,
    concurrency: Option<i32>,
    batch_events: i32,
    events_per_second: Option<i32>,
    without_answer: Option<WithoutAnswer>,
    sender_kinds: Option<Vec<String>>,
    state: State,
}

impl Fields {
    fn new(url: String) -> Self {
        Self {
            url,
            description: None,
            event_types: Vec::new(),
            channel_ids: None,
            department_ids: None,
            headers: None,
            timeout_ms: None,
            concurrency: None,
            batch_events: BATCH_EVENTS,
            events_per_second: None,
            without_answer: None,
            sender_kinds: None,
            state: State::Active,
        }
    }

    fn of(row: &Row) -> Result<Self> {
        let without_answer: Option<&str> = row.get("without_answer");
        Ok(Self {
            without_answer: without_answer.map(WithoutAnswer::from_db).transpose()?,
            sender_kinds: row.get("sender_kinds"),
            url: row.get("url"),
            description: row.get("description"),
            event_types: row.get("event_types"),
            channel_ids: row.get("channel_ids"),
            department_ids: row.get("department_ids"),
            headers: row.get("headers"),
            timeout_ms: row.get("timeout_ms"),
            concurrency: row.get("concurrency"),
            batch_events: row.get("batch_events"),
            events_per_second: row.get("events_per_second"),
            state: State::from_db(row.get("state"))?,
        })
    }

    /// Applies the given fields. Headers are already encrypted.
    fn take(&mut self, spec: &EndpointSpec, headers: Option<Option<Vec<u8>>>) {
        fn set<T: Clone>(field: &mut T, spec: Option<&T>) {
            if let Some(spec) = spec {
                field.clone_from(spec);
            }
        }
        set(&mut self.url, spec.url.as_ref());
        set(&mut self.description, spec.description.as_ref());
        set(&mut self.event_types, spec.event_types.as_ref());
        set(&mut self.channel_ids, spec.channel_ids.as_ref());
        set(&mut self.department_ids, spec.department_ids.as_ref());
        set(&mut self.headers, headers.as_ref());
        set(&mut self.timeout_ms, spec.timeout_ms.as_ref());
        set(&mut self.concurrency, spec.concurrency.as_ref());
        set(&mut self.batch_events, spec.batch_events.map(|n| n.unwrap_or(BATCH_EVENTS)).as_ref());
        set(&mut self.events_per_second, spec.events_per_second.as_ref());
        set(&mut self.without_answer, spec.without_answer().map(Some).as_ref());
        set(&mut self.sender_kinds, spec.sender_kinds.as_ref());
        set(&mut self.state, spec.state().as_ref());
    }
}

/// Who reads or changes endpoints, when, and under which client id.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    pub actor: &'a str,
    /// Whether this is an application, which manages observers of its own. Otherwise a role allows it all endpoints.
    pub is_application: bool,
    pub now: OffsetDateTime,
    pub client_id: Option<&'a str>,
}

impl<'a> Manager<'a> {
    /// The application. `None`: all endpoints, by a role.
    pub fn owner(self) -> Option<&'a str> {
        Some(self.actor).filter(|_| self.is_application)
    }

    fn claim(self, call: &'a str) -> Option<Claim<'a>> {
        self.client_id.map(|client_id| Claim { caller: self.actor, call, client_id })
    }
}

impl Callbacks {
    /// All endpoints, the gateway and the gate first, or only those of an application.
    pub async fn list(&self, owner: Option<&str>, now: OffsetDateTime) -> Result<Vec<Endpoint>> {
        self.shown(None, owner, now).await
    }

    /// An endpoint. With an `owner`, the endpoints of others do not exist.
    pub async fn show(
        &self,
        callback_id: &str,
        owner: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Endpoint> {
        let found = self.shown(Some(callback_id), owner, now).await?.pop();
        found.ok_or_else(no_such_callback)
    }

    async fn shown(
        &self,
        callback_id: Option<&str>,
        owner: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Vec<Endpoint>> {
        let rows = self
            .store
            .all(sql!("delivery/endpoint/list"), &[&callback_id, &now, &owner, &COUNTED_MAX])
            .await?;
        rows.iter().map(|row| self.shown_of(row, now)).collect()
    }

    fn shown_of(&self, row: &Row, now: OffsetDateTime) -> Result<Endpoint> {
        let callback_id: String = row.get("callback_id");
        let (secret_ids, made): (Vec<i64>, Vec<OffsetDateTime>) = (row.get("secret_ids"), row.get("made"));
        let ends: Vec<Option<OffsetDateTime>> = row.get("ends");
        let secrets = secret_ids.into_iter().zip(made).zip(ends).map(|((id, made), ends)| (id, made, ends));
        let (fields, kind) = (Fields::of(row)?, Kind::from_db(row.get("kind"))?);
        Ok(Endpoint {
            kind,
            state: fields.state,
            header_names: self.header_names(row),
            timeout_ms: fields.timeout_ms.unwrap_or_else(|| self.default_timeout_ms(kind)),
            concurrency: fields.concurrency.unwrap_or_else(|| self.default_concurrency(kind)),
            url: fields.url,
            owner: row.get("owner"),
            from_settings: row.get("from_settings"),
            description: fields.description,
            event_types: fields.event_types,
            channel_ids: fields.channel_ids,
            department_ids: fields.department_ids,
            batch_events: fields.batch_events,
            events_per_second: fields.events_per_second,
            without_answer: fields.without_answer,
            sender_kinds: fields.sender_kinds,
            failing_since: row.get("failing_since"),
            disabled_reason: row.get("disabled_reason"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
            secrets: secrets.collect(),
            waiting_rows: row.get("waiting_rows"),
            waiting_pairs: row.get("waiting_pairs"),
            oldest_queued_at: row.get("oldest_queued_at"),
            batches: row.get("batches"),
            dead: row.get("dead"),
            estimated: row.get("estimated"),
            breaker: self.get(&callback_id).map_or("closed", |callback| callback.breaker_state(now)),
            callback_id,
        })
    }

    /// Changes the given fields. If the gateway comes from the settings, only its state can be changed.
    pub async fn change(&self, callback_id: &str, spec: &EndpointSpec, by: Manager<'_>) -> Result<()> {
        retrying(|| self.update(callback_id, spec, by)).await?;
        self.refresh(by.now).await?;
        Ok(())
    }

    async fn update(&self, callback_id: &str, spec: &EndpointSpec, by: Manager<'_>) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let row = lock(&tx, callback_id, by).await?;
        let kind = Kind::from_db(row.get("kind"))?;
        let given = spec.given();
        if row.get("from_settings") && given.iter().any(|field| *field != "state") {
            return Err(of_settings());
        }
        spec.check(kind, &self.guard)?;
        if let Some(owner) = row.get::<_, Option<&str>>("owner") {
            check_own(&tx, spec, owner).await?;
        }
        let mut fields = Fields::of(&row)?;
        fields.take(spec, self.seal_headers(callback_id, spec)?);
        let stored = Stored { callback_id, kind, fields: &fields, set_going: spec.state.is_some() };
        write(&tx, stored, by).await?;
        note(&tx, Action::CallbackChanged, callback_id, &json!({"changed": given}), by).await?;
        Ok(tx.commit().await?)
    }

    /// The given headers, encrypted for the database.
    fn seal_headers(&self, callback_id: &str, spec: &EndpointSpec) -> Result<Option<Option<Vec<u8>>>> {
        let encrypt = |headers: &BTreeMap<String, String>| {
            let plain = serde_json::to_vec(headers).map_err(Error::internal)?;
            self.keys.encrypt(headers_label(callback_id), &plain)
        };
        let Some(headers) = &spec.headers else {
            return Ok(None);
        };
        let some = headers.as_ref().filter(|headers| !headers.is_empty());
        Ok(Some(some.map(encrypt).transpose()?))
    }
}

/// Refuses what an application cannot have, also if an administrator asks for it: events of more than its channels, and
/// channels of others.
async fn check_own(client: &impl Statements, spec: &EndpointSpec, owner: &str) -> Result<()> {
    spec.check_own()?;
    let Some(Some(channel_ids)) = &spec.channel_ids else { return Ok(()) };
    let foreign = client.opt(sql!("delivery/endpoint/not_joined"), &[&owner, channel_ids]).await?;
    match foreign.map(|row| row.get::<_, i64>("position")) {
        Some(position) => {
            Err(Error::field(format!("/channel_ids/{position}"), "is no channel that the application is in"))
        }
        None => Ok(()),
    }
}

/// Locks an endpoint. For an application, the endpoints of others do not exist.
async fn lock(tx: &Transaction<'_>, callback_id: &str, by: Manager<'_>) -> Result<Row> {
    let row = tx.opt(sql!("delivery/endpoint/lock"), &[&callback_id, &by.now]).await?;
    let is_managed =
        |row: &Row| by.owner().is_none_or(|owner| row.get::<_, Option<&str>>("owner") == Some(owner));
    row.filter(is_managed).ok_or_else(no_such_callback)
}

/// An endpoint to write. `set_going`: its state was set, so earlier failures no longer count.
struct Stored<'a> {
    callback_id: &'a str,
    kind: Kind,
    fields: &'a Fields,
    set_going: bool,
}

async fn write(tx: &Transaction<'_>, stored: Stored<'_>, by: Manager<'_>) -> Result<()> {
    let Stored { callback_id, kind, fields, set_going } = stored;
    tx.run(
        sql!("delivery/endpoint/write"),
        &[
            &callback_id,
            &kind.as_str(),
            &by.now,
            &fields.url,
            &fields.description,
            &fields.event_types,
            &fields.channel_ids,
            &fields.department_ids,
            &fields.headers,
            &fields.timeout_ms,
            &fields.concurrency,
            &fields.batch_events,
            &fields.events_per_second,
            &fields.state.as_str(),
            &set_going,
            &by.owner(),
            &fields.without_answer.map(WithoutAnswer::as_str),
            &fields.sender_kinds,
        ],
    )
    .await?;
    Ok(())
}

/// Writes an audit entry. It holds no secret, and only the public part of a URL.
async fn note(
    client: &impl Statements,
    action: Action,
    callback_id: &str,
    more: &serde_json::Value,
    by: Manager<'_>,
) -> Result<()> {
    let mut filter = json!({"callback_id": callback_id});
    if let (Some(filter), Some(more)) = (filter.as_object_mut(), more.as_object()) {
        filter.extend(more.clone());
    }
    audit::append_with(client, Entry::change(action, filter, (by.actor, by.now))).await
}

fn shown_url(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| public_url(&url))
}

fn no_such_callback() -> Error {
    Error::not_found("no such callback")
}

fn of_settings() -> Error {
    Error::new(
        error::Kind::Conflict,
        "this callback comes from the settings: change it there; only `state` can be changed here",
    )
}
