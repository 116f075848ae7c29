//! The gateway's public keys: fetched from its JWKS endpoint (RFC 7517 §5) and kept.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use url::Url;

use super::setting;
use crate::config::Config;
use crate::error::{Error, Result};

/// Longest wait for the endpoint, and its longest answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// Keys older than this are fetched again beside the request, so that one taken out of the set
/// loses its power although nobody presents an unknown one.
const FRESH: Duration = Duration::from_secs(600);
/// How soon the endpoint is asked again while there is no key at all, when the usual pause
/// would turn everybody away.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// A public key that can verify signatures, and which.
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub decoding: DecodingKey,
}

impl Key {
    /// The key of a JWK, or nothing for those that must not verify: symmetric ones, those for
    /// encryption, those of a curve or algorithm nobody here knows.
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

    /// Whether a token with this header may be checked with this key. Type, curve and declared
    /// algorithm of the key decide, not the token alone (RFC 8725 §3.1).
    pub fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        self.algorithms.contains(&algorithm) && (id.is_none() || id == self.id.as_deref())
    }
}

/// The keys as last seen.
pub type KeySet = Arc<Vec<Key>>;

/// Where the keys are, and those we have.
pub struct Keys {
    url: Url,
    http: reqwest::Client,
    pause: Duration,
    state: RwLock<State>,
    fetching: Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: KeySet,
    fetched_at: Option<OffsetDateTime>,
    asked_at: Option<OffsetDateTime>,
}

impl Keys {
    /// Refuses an address that is none. Nothing is fetched yet.
    pub fn new(config: &Config) -> Result<Self> {
        let url =
            Url::parse(&config.jwt_jwks_url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let url = url.ok_or_else(|| setting("jwt_jwks_url is not an http or https address"))?;
        if config.jwt_refresh < Duration::from_secs(1) {
            return Err(setting("jwt_refresh_ms must be at least 1000: anybody can make us ask"));
        }
        if url.scheme() == "http" {
            tracing::warn!("jwt_jwks_url is not https: whoever is on the way can hand us their keys");
        }
        let http =
            // Asked now and then: a connection would only grow old meanwhile.
            reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .timeout(FETCH_TIMEOUT);
        let http = http.build().map_err(Error::internal)?;
        Ok(Self {
            url,
            http,
            pause: config.jwt_refresh,
            state: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// The keys we have, without waiting. Old ones are also fetched anew, for the next caller.
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

    /// The keys after asking for new ones: at most once a pause, whoever calls and however many
    /// at once. A caller who hangs up does not stop the fetch others wait for.
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
                tracing::warn!(reason, "keys of the gateway could not be fetched; the old ones stay");
                metrics::counter!("impg_jwks_failures_total").increment(1);
            }
        }
    }

    async fn fetch(&self) -> std::result::Result<Vec<Key>, String> {
        let failed = |e: reqwest::Error| e.without_url().to_string();
        let mut answer = self.http.get(self.url.clone()).send().await.map_err(failed)?;
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

    fn may_ask(&self, state: &State, now: OffsetDateTime) -> bool {
        let pause = if state.keys.is_empty() { self.pause.min(EMPTY_PAUSE) } else { self.pause };
        state.asked_at.is_none_or(|at| passed(at, now, pause))
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether `pause` lies between the two; a clock set back counts as time passed.
fn passed(at: OffsetDateTime, now: OffsetDateTime, pause: Duration) -> bool {
    (now - at).unsigned_abs() >= pause
}

/// The keys of a set that can verify. One that cannot be read does not spoil the others
/// (RFC 7517 §5); none at all is an answer gone wrong, not the end of all trust.
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
