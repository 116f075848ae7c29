//! The public keys of the gateway, fetched from its JWKS endpoint (RFC 7517 §5) and cached.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use url::Url;

use super::setting;
use crate::base::config::IdentitySettings;
use crate::base::error::{Error, Result};
use crate::base::trace;

/// Timeout of a fetch, and the longest answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// Keys older than this are fetched again in the background. A removed key thus expires even if no request
/// has an unknown key.
const FRESH: Duration = Duration::from_secs(600);
/// Pause between fetches while there is no key. The usual pause would refuse all users for longer.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// A public key that can verify signatures, and the algorithms it is for.
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub decoding: DecodingKey,
}

impl Key {
    /// Reads the key of a JWK. `None` for keys that must not verify: symmetric keys, encryption keys, and
    /// unknown curves or algorithms.
    fn new(jwk: &Jwk) -> Option<Self> {
        let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies =
            jwk.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
            AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => return None,
        };
        if let Some(declared) = jwk.common.key_algorithm {
            let declared = Algorithm::try_from(declared).ok()?;
            algorithms.retain(|algorithm| *algorithm == declared);
        }
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        (!algorithms.is_empty()).then(|| Self { id: jwk.common.key_id.clone(), algorithms, decoding })
    }

    /// Whether this key may verify a token with this header. The key's type, curve and declared algorithm
    /// decide, not only the token (RFC 8725 §3.1).
    pub fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        self.algorithms.contains(&algorithm) && (id.is_none() || id == self.id.as_deref())
    }
}

/// The keys of the last fetch.
pub type KeySet = Arc<Vec<Key>>;

/// The key URL and the cached keys.
pub struct Keys {
    url: Url,
    http: reqwest::Client,
    pause: Duration,
    state: RwLock<CachedKeys>,
    fetching: Mutex<()>,
}

#[derive(Default)]
struct CachedKeys {
    keys: KeySet,
    fetched_at: Option<OffsetDateTime>,
    asked_at: Option<OffsetDateTime>,
}

impl Keys {
    /// Refuses an invalid URL. Fetches nothing yet.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        let url =
            Url::parse(&settings.jwt_jwks_url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let url = url.ok_or_else(|| setting("`jwt_jwks_url` must be an http or https URL"))?;
        if settings.jwt_refresh < Duration::from_secs(1) {
            return Err(setting("`jwt_refresh_ms` must be at least 1000: any client can cause a fetch"));
        }
        if url.scheme() == "http" {
            tracing::warn!("`jwt_jwks_url` is not https: an attacker on the network can replace the keys");
        }
        let http =
            // Fetches are rare, so an idle connection would only become stale.
            reqwest::Client::builder()
                .http1_only()
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .timeout(FETCH_TIMEOUT);
        let http = http.build().map_err(Error::internal)?;
        Ok(Self {
            url,
            http,
            pause: settings.jwt_refresh,
            state: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// The cached keys, without waiting. Old keys are also fetched again, for later callers.
    pub fn current(self: &Arc<Self>, now: OffsetDateTime) -> KeySet {
        let (keys, due) = self.look(|state| {
            let old = state.fetched_at.is_some_and(|at| passed(at, now, FRESH));
            (Arc::clone(&state.keys), old && self.may_ask(state, now))
        });
        if due {
            tokio::spawn(Arc::clone(self).refresh(now));
        }
        keys
    }

    /// The keys after a fetch. There is at most one fetch per pause for all callers together. A caller who
    /// disconnects does not stop the fetch.
    pub async fn newer(self: &Arc<Self>, now: OffsetDateTime) -> KeySet {
        let fetch = tokio::spawn(Arc::clone(self).refresh(now));
        if let Err(error) = fetch.await {
            tracing::error!(%error, "fetching keys panicked");
        }
        self.look(|state| Arc::clone(&state.keys))
    }

    async fn refresh(self: Arc<Self>, now: OffsetDateTime) {
        let _one_at_a_time = self.fetching.lock().await;
        if !self.look(|state| self.may_ask(state, now)) {
            return;
        }
        self.change(|state| state.asked_at = Some(now));
        match self.fetch().await {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "keys of the gateway fetched");
                self.change(|state| (state.keys, state.fetched_at) = (Arc::new(keys), Some(now)));
            }
            Err(reason) => {
                tracing::warn!(reason, "could not fetch the keys of the gateway; the old ones stay");
                metrics::counter!("impg_jwks_failures_total").increment(1);
            }
        }
    }

    async fn fetch(&self) -> std::result::Result<Vec<Key>, String> {
        let failed = |e: reqwest::Error| e.without_url().to_string();
        let mut answer =
            self.http.get(self.url.clone()).headers(trace::headers()).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("the endpoint answered {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_MAX_BYTES {
                return Err(format!("the answer is longer than {ANSWER_MAX_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        usable(&body)
    }

    fn may_ask(&self, state: &CachedKeys, now: OffsetDateTime) -> bool {
        let pause = if state.keys.is_empty() { self.pause.min(EMPTY_PAUSE) } else { self.pause };
        state.asked_at.is_none_or(|at| passed(at, now, pause))
    }

    fn look<T>(&self, look: impl FnOnce(&CachedKeys) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut CachedKeys)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether `pause` has passed between the two times. A clock that went back counts as passed.
fn passed(at: OffsetDateTime, now: OffsetDateTime, pause: Duration) -> bool {
    (now - at).unsigned_abs() >= pause
}

/// The usable keys of a set. Unreadable keys are skipped (RFC 7517 §5). A set without a usable key is an
/// error, and the old keys stay.
fn usable(body: &[u8]) -> std::result::Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(body).map_err(|_| "the answer is not a JWK set".to_owned())?;
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: Vec<Key> = jwks.filter_map(|jwk| Key::new(&jwk)).collect();
    if keys.is_empty() { Err("the answer has no key that can verify".to_owned()) } else { Ok(keys) }
}
