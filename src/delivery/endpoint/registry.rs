//! All endpoints in the memory of a replica. They are read again after each change.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use url::Url;

use super::breaker::Breaker;
use super::connection::client;
use super::encrypt::{Keys, Label};
use super::gateway::{Own, Standing};
use super::guard::Guard;
use super::in_force::InForce;
use super::{Callback, GATEWAY, Kind, State, public_url};
use crate::base::config::{CallbackSettings, Config};
use crate::base::error::{Error, Result};
use crate::base::renewed::Renewed;
use crate::base::store::{Statements, Store};
use crate::sql;

/// The endpoints of a replica, with the state of their breakers.
pub struct Callbacks {
    pub(super) store: Store,
    pub(super) keys: Keys,
    own: Own,
    pub(super) guard: Guard,
    /// Two connection pools: one for the gateway of the settings, one behind the guard.
    clients: Clients,
    defaults: Defaults,
    /// Most endpoints that an application makes for itself.
    pub(super) own_max: i64,
    known: RwLock<Known>,
    /// Held while refreshing, so that an older reading does not replace a newer one. Contains the revisions
    /// of unreadable rows, so that each is logged once.
    unreadable: tokio::sync::Mutex<HashMap<String, i64>>,
}

/// The last reading.
#[derive(Default)]
struct Known {
    by_id: HashMap<String, Arc<Callback>>,
    /// None before the first reading.
    gateway: Option<Standing>,
    gate: Option<Arc<InForce>>,
}

struct Clients {
    free: Arc<Renewed<reqwest::Client>>,
    guarded: Arc<Renewed<reqwest::Client>>,
}

impl Clients {
    fn new(settings: &CallbackSettings, life: Duration, guard: &Guard) -> Result<Self> {
        let (own, settings, guard) = (settings.clone(), settings.clone(), guard.clone());
        let free = move || client(&own).build().map_err(Error::internal);
        let guarded = move || client(&settings).dns_resolver(guard.clone()).build().map_err(Error::internal);
        Ok(Self {
            free: Arc::new(Renewed::new(life, free)?),
            guarded: Arc::new(Renewed::new(life, guarded)?),
        })
    }
}

struct Defaults {
    timeout: Duration,
    gate_timeout: Duration,
    concurrency: usize,
    gate_concurrency: usize,
    answer_max_bytes: usize,
    breaker_failures: u32,
    breaker_probe: Duration,
}

impl Defaults {
    fn breaker(&self) -> Breaker {
        Breaker::new(self.breaker_failures, self.breaker_probe)
    }

    fn timeout(&self, kind: Kind) -> Duration {
        if kind == Kind::Gate { self.gate_timeout } else { self.timeout }
    }

    fn concurrency(&self, kind: Kind) -> usize {
        if kind == Kind::Gate { self.gate_concurrency } else { self.concurrency }
    }
}

impl Callbacks {
    /// Reads the endpoints for the first time.
    pub async fn open(store: Store, config: &Config, now: OffsetDateTime) -> Result<Self> {
        let settings = &config.callbacks;
        let defaults = Defaults {
            timeout: settings.timeout,
            gate_timeout: settings.gate_timeout,
            concurrency: settings.concurrency,
            gate_concurrency: settings.gate_concurrency,
            answer_max_bytes: settings.answer_max_bytes,
            breaker_failures: settings.breaker_failures,
            breaker_probe: settings.breaker_probe,
        };
        let guard = Guard::new(settings)?;
        let callbacks = Self {
            store,
            keys: Keys::parse(&settings.keys)?,
            own: Own::of(settings)?,
            clients: Clients::new(settings, config.workers.connection_life, &guard)?,
            guard,
            defaults,
            own_max: settings.own_max.into(),
            known: RwLock::default(),
            unreadable: tokio::sync::Mutex::default(),
        };
        callbacks.refresh(now).await?;
        Ok(callbacks)
    }

    /// Writes the gateway of the settings into the database. It is the last step of a start, so that a failed
    /// start changes nothing. Settings without a gateway change nothing either.
    pub async fn settle_gateway(&self, now: OffsetDateTime) -> Result<()> {
        let url = match &self.own {
            Own::Unset => return Ok(()),
            Own::Off => None,
            Own::At { url, .. } => Some(public_url(url)),
        };
        let client = self.store.client().await?;
        client.run(sql!("delivery/endpoint/settle_gateway"), &[&url, &now]).await?;
        drop(client);
        self.refresh(now).await?;
        Ok(())
    }

    /// The state of the push for `/readyz`: `off`, `missing` (the settings of this replica do not know the
    /// database's gateway), `differs` (they name another), `paused`, `failing` or `ok`.
    pub fn gateway_state(&self, now: OffsetDateTime) -> &'static str {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let standing = known.gateway.clone().unwrap_or_default();
        match known.by_id.get(GATEWAY) {
            None if standing.url.is_none() => "off",
            None => "missing",
            Some(gateway) if gateway.state == State::Paused => "paused",
            Some(gateway) if gateway.breaker_state(now) != "closed" => "failing",
            Some(_) if self.own.differs(&standing) => "differs",
            Some(_) => "ok",
        }
    }

    /// Reads what has changed. Returns all endpoints that have an address and can be signed for, in any
    /// state. An endpoint keeps its breaker unless its address changed.
    pub async fn refresh(&self, now: OffsetDateTime) -> Result<Vec<Arc<Callback>>> {
        let mut unreadable = self.unreadable.lock().await;
        let client = self.store.client().await?;
        let rows = client.all(sql!("delivery/endpoint/live"), &[&now]).await?;
        drop(client);
        let before = self.known.read().unwrap_or_else(PoisonError::into_inner).by_id.clone();
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let (callback_id, revision): (&str, i64) = (row.get("callback_id"), row.get("revision"));
            match self.again(row, &before) {
                Ok(Some(callback)) => {
                    unreadable.remove(callback_id);
                    all.push(callback);
                }
                Ok(None) if row.get("from_settings") => {}
                unused => {
                    if unreadable.insert(callback_id.to_owned(), revision) != Some(revision) {
                        log_unused(callback_id, unused.err());
                    }
                }
            }
        }
        let by_id: HashMap<_, _> =
            all.iter().map(|callback| (callback.callback_id.clone(), callback.clone())).collect();
        let (standing, gate) = (Standing::of(&rows), InForce::of(&rows, &by_id).map(Arc::new));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        standing.warn_of_change(known.gateway.as_ref(), &self.own);
        *known = Known { by_id, gateway: Some(standing), gate };
        drop(known);
        Ok(all)
    }

    /// The database of the endpoints.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The gate of the last reading, unless it is paused.
    pub fn gate(&self) -> Option<Arc<InForce>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).gate.clone()
    }

    /// An endpoint from the last reading.
    pub fn get(&self, callback_id: &str) -> Option<Arc<Callback>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_id.get(callback_id).cloned()
    }

    /// The endpoint of a row: reused if the row has not changed.
    fn again(&self, row: &Row, before: &HashMap<String, Arc<Callback>>) -> Result<Option<Arc<Callback>>> {
        let known = before.get(row.get::<_, &str>("callback_id"));
        let secret_ids: Vec<i64> = row.get("secret_ids");
        let unchanged = |callback: &&Arc<Callback>| {
            callback.revision == row.get::<_, i64>("revision") && callback.secret_ids == secret_ids
        };
        if let Some(callback) = known.filter(unchanged) {
            return Ok(Some(callback.clone()));
        }
        // An unknown name is told apart from a secret that does not decrypt.
        Kind::from_db(row.get("kind")).and(State::from_db(row.get("state")))?;
        Ok(self.make(row, secret_ids, known).map(Arc::new))
    }

    /// None if its secrets or headers do not decrypt.
    fn make(&self, row: &Row, secret_ids: Vec<i64>, known: Option<&Arc<Callback>>) -> Option<Callback> {
        let callback_id: String = row.get("callback_id");
        let settled: bool = row.get("from_settings");
        let (url, secrets) = if settled {
            self.own.gateway()?
        } else {
            (Url::parse(row.get("url")).ok()?, self.secrets(row)?)
        };
        let defaults = &self.defaults;
        let kept = known.filter(|callback| callback.url == url).map(|callback| callback.breaker.clone());
        let millis = |ms: i32| Duration::from_millis(ms.unsigned_abs().into());
        let kind = Kind::from_db(row.get("kind")).ok()?;
        let concurrency = row
            .get::<_, Option<i32>>("concurrency")
            .map_or_else(|| defaults.concurrency(kind), |n| n.unsigned_abs() as usize);
        Some(Callback {
            kind,
            state: State::from_db(row.get("state")).ok()?,
            url,
            timeout: row.get::<_, Option<i32>>("timeout_ms").map_or_else(|| defaults.timeout(kind), millis),
            concurrency,
            slots: Semaphore::new(concurrency),
            batch_events: row.get("batch_events"),
            revision: row.get("revision"),
            owned: row.get("owned"),
            headers: self.headers(row)?,
            secrets,
            secret_ids,
            client: if settled { self.clients.free.clone() } else { self.clients.guarded.clone() },
            guard: Some(self.guard.clone()).filter(|_| !settled),
            answer_max_bytes: defaults.answer_max_bytes,
            breaker: kept.unwrap_or_else(|| Arc::new(defaults.breaker())),
            callback_id,
        })
    }

    /// The signing secrets, newest first. None if one of them does not decrypt or there is none: an unsigned
    /// push must not be sent.
    fn secrets(&self, row: &Row) -> Option<Vec<Vec<u8>>> {
        let label = secret_label(row.get("callback_id"));
        let encrypted: Vec<&[u8]> = row.get("sealed");
        let opened: Option<Vec<_>> =
            encrypted.into_iter().map(|encrypted| self.keys.open(label, encrypted)).collect();
        opened.filter(|secrets| !secrets.is_empty())
    }

    fn headers(&self, row: &Row) -> Option<HeaderMap> {
        let header = |(name, value): (String, String)| {
            let mut value = HeaderValue::try_from(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        };
        self.plain_headers(row)?.into_iter().map(header).collect()
    }

    /// The header names of a row; none if the headers do not decrypt.
    pub(super) fn header_names(&self, row: &Row) -> Option<Vec<String>> {
        Some(self.plain_headers(row)?.into_keys().collect())
    }

    fn plain_headers(&self, row: &Row) -> Option<BTreeMap<String, String>> {
        let Some(encrypted) = row.get::<_, Option<&[u8]>>("headers") else {
            return Some(BTreeMap::new());
        };
        let label = headers_label(row.get("callback_id"));
        serde_json::from_slice(&self.keys.open(label, encrypted)?).ok()
    }

    pub(super) fn default_timeout_ms(&self, kind: Kind) -> i32 {
        i32::try_from(self.defaults.timeout(kind).as_millis()).unwrap_or(i32::MAX)
    }

    pub(super) fn default_concurrency(&self, kind: Kind) -> i32 {
        i32::try_from(self.defaults.concurrency(kind)).unwrap_or(i32::MAX)
    }
}

/// Logs why an endpoint gets nothing: an error, or that its secret does not decrypt.
fn log_unused(callback_id: &str, error: Option<Error>) {
    match error {
        Some(error) => tracing::error!(callback_id, %error, "callback not used"),
        None => tracing::error!(
            callback_id,
            "callback not used: no key in callback_keys decrypts its secret; add its key"
        ),
    }
}

/// The label that binds an encrypted secret to its endpoint.
pub(super) fn secret_label(callback_id: &str) -> Label<'_> {
    Label { what: "secret", callback_id }
}

/// The label of its headers.
pub(super) fn headers_label(callback_id: &str) -> Label<'_> {
    Label { what: "headers", callback_id }
}
