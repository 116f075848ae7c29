//! Short-lived tokens signed by the gateway (RFC 7519), checked as RFC 8725 requires.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, AlgorithmFamily, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::keys::{Key, Keys};
use super::{Caller, Role, Roles, check_named, refused, setting};
use crate::base::config::{IdentityNames, IdentitySettings};
use crate::base::error::{Error, Result};

/// Allowed difference between the clocks.
const LEEWAY_SECONDS: f64 = 30.0;
/// Most keys tried for one token. This limits the cost of a forged token.
const KEYS_TRIED_MAX: usize = 16;
/// Accepted token types. Other tokens of the same issuer, such as a logout token, have the same claims for
/// another purpose (RFC 8725 §3.11, RFC 9068 §2.1).
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

type Claims = Map<String, Value>;

/// The rules for accepted tokens.
pub struct Tokens {
    issuer: String,
    audience: String,
    algorithms: Vec<Algorithm>,
    max_bytes: usize,
    names: IdentityNames,
    user_claim: String,
    roles_claim: String,
    keys: Arc<Keys>,
}

impl Tokens {
    /// Refuses insecure settings: no issuer, no audience, no key URL, no algorithms, or a symmetric
    /// algorithm. With a symmetric algorithm the public key would be the secret.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        let needed = [
            ("jwt_issuer", &settings.jwt_issuer),
            ("jwt_audience", &settings.jwt_audience),
            ("jwt_user_claim", &settings.jwt_user_claim),
        ];
        let missing = needed.iter().filter(|(_, value)| value.is_empty());
        let missing: Vec<String> = missing.map(|(key, _)| format!("`{key}`")).collect();
        if !missing.is_empty() {
            return Err(setting(format!("set {}", missing.join(", "))));
        }
        let algorithms =
            settings.jwt_algorithms.iter().map(|name| algorithm(name)).collect::<Result<Vec<_>>>()?;
        if algorithms.is_empty() {
            return Err(setting("set `jwt_algorithms`"));
        }
        Ok(Self {
            issuer: settings.jwt_issuer.clone(),
            audience: settings.jwt_audience.clone(),
            algorithms,
            max_bytes: settings.jwt_max_bytes,
            names: settings.names,
            user_claim: settings.jwt_user_claim.clone(),
            roles_claim: settings.jwt_roles_claim.clone(),
            keys: Arc::new(Keys::new(settings)?),
        })
    }

    /// The user that `token` names.
    ///
    /// # Errors
    /// `Kind::Unauthenticated` for an invalid token. `Kind::Unavailable` while no key could be fetched.
    pub async fn caller(&self, token: &str, now: OffsetDateTime) -> Result<Caller> {
        if token.len() > self.max_bytes {
            return Err(refused(format!(
                "the token is too long: {} bytes, and `jwt_max_bytes` is {}",
                token.len(),
                self.max_bytes
            )));
        }
        let header = decode_header(token).map_err(|_| refused("the bearer token is not a signed JWT"))?;
        self.check_header(&header)?;
        let claims = self.verified(token, &header, now).await?;
        let until = self.check_claims(&claims, now)?;
        let user_id = claim(&claims, &self.user_claim).and_then(Value::as_str).unwrap_or_default();
        check_named(self.names, user_id)
            .map_err(|reason| refused(format!("the token's {} {reason}", self.user_claim)))?;
        let roles = claim(&claims, &self.roles_claim).map(Roles::of_claim).unwrap_or_default();
        Ok(Caller { until, ..Caller::named(user_id.to_owned(), roles.with(Role::User)) })
    }

    fn check_header(&self, header: &Header) -> Result<()> {
        if !self.algorithms.contains(&header.alg) {
            return Err(refused("the token's algorithm is not allowed"));
        }
        // RFC 7515 §4.1.11: an extension that is critical and unknown makes the token invalid.
        if header.crit.is_some() {
            return Err(refused("the token has critical extensions that are not supported"));
        }
        match &header.typ {
            Some(typ) if !TYPES.contains(&typ.to_ascii_lowercase().as_str()) => {
                Err(refused("the token has a type that is not accepted"))
            }
            _ => Ok(()),
        }
    }

    /// The claims of a token signed by a key of the gateway. If no known key matches, the keys are fetched
    /// again.
    async fn verified(&self, token: &str, header: &Header, now: OffsetDateTime) -> Result<Claims> {
        let keys = self.keys.current(now);
        if let Some(claims) = open(&keys, token, header) {
            return Ok(claims);
        }
        let newer = self.keys.newer(now).await;
        if newer.is_empty() {
            return Err(Error::unavailable("the gateway's keys cannot be fetched"));
        }
        let claims = if Arc::ptr_eq(&keys, &newer) { None } else { open(&newer, token, header) };
        claims.ok_or_else(|| refused("the token is not signed by a key of the gateway"))
    }

    /// Checks the claims (RFC 7519 §4.1). The library would read the clock itself and accept several issuers.
    /// Returns the expiry, if it is a valid date.
    fn check_claims(&self, claims: &Claims, now: OffsetDateTime) -> Result<Option<OffsetDateTime>> {
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(refused("the token is from another issuer"));
        }
        let for_us = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(several)) => several.iter().any(|audience| *audience == self.audience.as_str()),
            _ => false,
        };
        if !for_us {
            return Err(refused("the token is for another audience"));
        }
        let now = now.unix_timestamp() as f64;
        let until = match claims.get("exp").and_then(Value::as_f64) {
            None => return Err(refused("the token has no expiry")),
            Some(exp) if exp + LEEWAY_SECONDS <= now => return Err(refused("the token has expired")),
            Some(exp) => OffsetDateTime::from_unix_timestamp((exp + LEEWAY_SECONDS) as i64).ok(),
        };
        match claims.get("nbf").map(Value::as_f64) {
            Some(None) => Err(refused("the token's nbf is not a number")),
            Some(Some(nbf)) if nbf > now + LEEWAY_SECONDS => Err(refused("the token is not valid yet")),
            _ => Ok(until),
        }
    }
}

fn algorithm(name: &str) -> Result<Algorithm> {
    let known = name.parse::<Algorithm>().ok().filter(|known| known.family() != AlgorithmFamily::Hmac);
    known.ok_or_else(|| {
        setting("`jwt_algorithms` can be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA: only algorithms with a public key")
    })
}

/// The claims, if a matching key has signed the token. Several keys can share a `kid`, and a token can have
/// none. All keys of the set are trusted.
fn open(keys: &[Key], token: &str, header: &Header) -> Option<Claims> {
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let fitting = keys.iter().filter(|key| key.fits(header.alg, header.kid.as_deref()));
    let mut opened = fitting.take(KEYS_TRIED_MAX).map(|key| decode(token, &key.decoding, &validation));
    opened.find_map(|opened| opened.ok().map(|token| token.claims))
}

/// Finds a claim by its name, or by a path of names. `realm_access.roles` is a path used by Keycloak.
/// `https://example.com/roles` is one name.
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        claim(claims.get(first)?.as_object()?, rest)
    })
}

#[cfg(test)]
mod tests;
