//! Creates, shows, changes and removes endpoints.

mod rotate;
mod trial;

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use url::Url;
use uuid::Uuid;

use super::encrypt::Label;
use super::registry::{Callbacks, headers_label, secret_label};
use super::spec::EndpointSpec;
use super::{GATEWAY, Kind, State, public_url, sign};
use crate::base::audit::{self, Action, Entry};
use crate::base::claim::{self, Claim};
use crate::base::error::{self, Error, Result};
use crate::base::number::ChannelId;
use crate::base::store::{Statements, retrying};
use crate::sql;

pub use trial::TestResult;

/// Most endpoints of a database.
const CALLBACKS_MAX: i64 = 1_000;
/// Default number of events in a batch.
const BATCH_EVENTS: i32 = 100;
/// Queue rows and batches that one sweep step deletes.
const SWEEP_ROWS: i64 = 5_000;
const SWEEP_BATCHES: i64 = 50;
/// The label of an encrypted request body kept for repeats: the body may hold credentials.
const CLAIM: Label<'static> = Label { what: "claim", callback_id: "" };
/// A removed endpoint's row stays at least this long: by then, no open transaction queues for it any longer.
const FORGET_AFTER: Duration = Duration::from_secs(300);

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
            state: State::Active,
        }
    }

    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
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
    /// All endpoints, the gateway first, or only those of an application.
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
        let rows = self.store.all(sql!("delivery/endpoint/list"), &[&callback_id, &now, &owner]).await?;
        rows.iter().map(|row| self.shown_of(row, now)).collect()
    }

    fn shown_of(&self, row: &Row, now: OffsetDateTime) -> Result<Endpoint> {
        let callback_id: String = row.get("callback_id");
        let (secret_ids, made): (Vec<i64>, Vec<OffsetDateTime>) = (row.get("secret_ids"), row.get("made"));
        let ends: Vec<Option<OffsetDateTime>> = row.get("ends");
        let secrets = secret_ids.into_iter().zip(made).zip(ends).map(|((id, made), ends)| (id, made, ends));
        let fields = Fields::of(row)?;
        Ok(Endpoint {
            kind: Kind::from_db(row.get("kind"))?,
            state: fields.state,
            header_names: self.header_names(row),
            timeout_ms: fields.timeout_ms.unwrap_or_else(|| self.default_timeout_ms()),
            concurrency: fields.concurrency.unwrap_or_else(|| self.default_concurrency()),
            url: fields.url,
            owner: row.get("owner"),
            from_settings: row.get("from_settings"),
            description: fields.description,
            event_types: fields.event_types,
            channel_ids: fields.channel_ids,
            department_ids: fields.department_ids,
            batch_events: fields.batch_events,
            events_per_second: fields.events_per_second,
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
            breaker: self.get(&callback_id).map_or("closed", |callback| callback.breaker_state(now)),
            callback_id,
        })
    }

    /// Creates an endpoint with its first secret. There is only one gateway, and the settings have
    /// precedence. A repeat with the same client id creates nothing.
    pub async fn create(
        &self,
        kind: Kind,
        spec: &EndpointSpec,
        by: Manager<'_>,
    ) -> Result<(String, NewSecret)> {
        let digest = claim::digest(&(kind.as_str(), spec))?;
        let claim = by.claim("callback");
        if let Some(made) = self.made_before(claim, &digest).await? {
            return Ok(made);
        }
        let url = spec.url.clone().ok_or_else(|| Error::field("/url", "is required"))?;
        if kind == Kind::Observer && spec.event_types.is_none() {
            return Err(Error::field("/event_types", "is required for an observer"));
        }
        spec.check(kind, &self.guard)?;
        if let Some(owner) = by.owner() {
            check_own(&self.store.client().await?, spec, owner).await?;
        }
        let callback_id = match kind {
            Kind::Gateway => GATEWAY.to_owned(),
            Kind::Observer => format!("cb-{}", Uuid::now_v7()),
        };
        let (bytes, secret) = sign::mint()?;
        let encrypted = self.keys.encrypt(secret_label(&callback_id), &bytes)?;
        let mut fields = Fields::new(url);
        fields.take(spec, self.seal_headers(&callback_id, spec)?);
        let sealed_digest = claim.map(|_| self.keys.encrypt(CLAIM, &digest)).transpose()?.unwrap_or_default();
        let claim = claim.map(|claim| (claim, sealed_digest.as_slice()));
        let made = Made { callback_id: &callback_id, kind, fields: &fields, encrypted: &encrypted, claim };
        let Some(secret_id) = retrying(|| self.insert(&made, by)).await? else {
            let claim = claim.map(|(claim, _)| claim);
            return self.made_before(claim, &digest).await?.ok_or_else(claim::forgotten);
        };
        self.refresh(by.now).await?;
        Ok((callback_id, NewSecret { secret_id, secret, others_until: None, repeated: false }))
    }

    /// The endpoint and secret that were created under the same client id.
    async fn made_before(
        &self,
        claim: Option<Claim<'_>>,
        digest: &[u8],
    ) -> Result<Option<(String, NewSecret)>> {
        let Some(claim) = claim else { return Ok(None) };
        let client = self.store.client().await?;
        let Some(kept) = claim.kept(&client).await? else { return Ok(None) };
        if self.keys.open(CLAIM, &kept.digest).as_deref() != Some(digest) {
            return Err(claim::reused());
        }
        let row = client.opt(sql!("delivery/endpoint/secret"), &[&kept.made_id]).await?;
        let row = row.ok_or_else(claim::gone)?;
        let callback_id: String = row.get("callback_id");
        let bytes = self.keys.open(secret_label(&callback_id), row.get("sealed")).ok_or_else(|| {
            Error::new(error::Kind::Conflict, "no key in callback_keys decrypts this callback: add its key")
        })?;
        let secret = sign::encode(&bytes);
        let (secret_id, made_at) = (kept.made_id, kept.made_at);
        Ok(Some((callback_id, NewSecret { secret_id, secret, others_until: Some(made_at), repeated: true })))
    }

    /// `None`: a concurrent call has used the same client id.
    async fn insert(&self, made: &Made<'_>, by: Manager<'_>) -> Result<Option<i64>> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let there = tx.one(sql!("delivery/endpoint/count"), &[&by.owner()]).await?;
        let conflict = |why: &'static str| Err(Error::new(error::Kind::Conflict, why));
        if made.kind == Kind::Gateway && there.get("gateway") {
            return conflict("a gateway already exists: change it with PATCH /callbacks/gateway");
        }
        if there.get::<_, i64>("callbacks") >= CALLBACKS_MAX {
            return conflict("there are already 1,000 callbacks: remove one first");
        }
        if by.is_application && there.get::<_, i64>("own") >= self.own_max {
            let why = format!("the application already has {} callbacks: remove one first", self.own_max);
            return Err(Error::new(error::Kind::Conflict, why));
        }
        let Made { callback_id, kind, fields, .. } = *made;
        write(&tx, Stored { callback_id, kind, fields, set_going: true }, by).await?;
        let row = tx
            .one(
                sql!("delivery/endpoint/add_secret"),
                &[&made.callback_id, &made.encrypted, &by.now, &by.now],
            )
            .await?;
        note(
            &tx,
            Action::CallbackCreated,
            made.callback_id,
            &json!({"url": shown_url(&made.fields.url)}),
            by,
        )
        .await?;
        if let Some((claim, digest)) = made.claim
            && !claim.keep(&tx, digest, (row.get("secret_id"), by.now)).await?
        {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(row.get("secret_id")))
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

    /// Removes an endpoint with its secrets and its queue.
    pub async fn remove(&self, callback_id: &str, by: Manager<'_>) -> Result<()> {
        retrying(|| self.take_away(callback_id, by)).await?;
        self.refresh(by.now).await?;
        let gateway = Some(callback_id).filter(|id| *id == GATEWAY);
        while self.sweep(gateway).await? > 0 {}
        Ok(())
    }

    async fn take_away(&self, callback_id: &str, by: Manager<'_>) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let row = lock(&tx, callback_id, by).await?;
        if row.get("from_settings") {
            return Err(of_settings());
        }
        tx.run(sql!("delivery/endpoint/remove"), &[&callback_id, &by.now]).await?;
        note(&tx, Action::CallbackRemoved, callback_id, &json!({"url": shown_url(row.get("url"))}), by)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Deletes a part of the queues of removed endpoints, and of one more. Returns how many rows.
    async fn sweep(&self, one_more: Option<&str>) -> Result<i64> {
        retrying(|| self.sweep_once(one_more)).await
    }

    async fn sweep_once(&self, one_more: Option<&str>) -> Result<i64> {
        let row = self
            .store
            .one(sql!("delivery/endpoint/sweep"), &[&one_more, &SWEEP_ROWS, &SWEEP_BATCHES])
            .await?;
        Ok(row.get("swept"))
    }

    /// Deletes a part of what removed endpoints left, and the endpoints that have nothing left. Returns how
    /// many rows.
    pub async fn tidy(&self, now: OffsetDateTime) -> Result<i64> {
        let swept = self.sweep(None).await?;
        self.store.run(sql!("delivery/endpoint/forget"), &[&(now - FORGET_AFTER), &now]).await?;
        Ok(swept)
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

/// An endpoint to create.
struct Made<'a> {
    callback_id: &'a str,
    kind: Kind,
    fields: &'a Fields,
    encrypted: &'a [u8],
    claim: Option<(Claim<'a>, &'a [u8])>,
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
