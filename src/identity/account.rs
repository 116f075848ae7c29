//! Access tokens of accounts: short-lived JWTs that this service signs, each of one session.
//!
//! The token names the user and the session. Each request looks the session up, so a session that has ended, and an account
//! that is suspended or cancelled or whose user has left, is refused at once on every replica. The roles come from the same lookup.

mod keys;

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Caller, Role, Roles, refused, setting};
use crate::base::config::{IdentityNames, IdentitySettings, Secret};
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::base::text::{hex, is_label};
use crate::sql;
pub use keys::rotate;
use keys::{Keys, SigningKey};

/// RFC 9068 §2.1: so that no token for another purpose passes as an access token.
const TYPE: &str = "at+jwt";
/// Allowed difference between the clocks of replicas.
const LEEWAY_SECONDS: i64 = 30;
/// Longest access token. Ours have about 500 bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Bytes of a session id.
pub const SESSION_ID_BYTES: usize = 16;
/// Longest `account_issuer`.
const ISSUER_CHARS_MAX: usize = 128;
/// A day: the longest life of an access token.
const LIFE_MAX: Duration = Duration::from_secs(86_400);

/// The session that an access token is for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub user_id: &'a str,
    pub session_id: &'a [u8],
    /// How often the refresh token of the session was exchanged.
    pub generation: i32,
}

/// An access token, as it is shown once.
#[derive(Debug)]
pub struct AccessToken {
    pub token: Secret,
    pub expires_in_s: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    r#gen: i32,
    iat: i64,
    exp: i64,
}

/// Makes access tokens, and checks them.
pub struct Tokens {
    issuer: String,
    life: Duration,
    seen_every: Duration,
    keys: Keys,
}

impl Tokens {
    /// Refuses settings under which tokens of other instances pass, or last too long.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        if !is_label(&settings.account_issuer, ISSUER_CHARS_MAX) {
            return Err(setting("set `account_issuer` to a name of this instance, of 1 to 128 characters"));
        }
        let life = settings.account_token;
        if life < Duration::from_secs(1) || life > LIFE_MAX {
            return Err(setting("`account_token_ms` must be 1000 ms to a day"));
        }
        if settings.account_seen_every < Duration::from_secs(1) || settings.account_seen_every > LIFE_MAX {
            return Err(setting("`account_seen_every_ms` must be 1000 ms to a day"));
        }
        if settings.names != IdentityNames::UserId {
            return Err(setting("`identity_names` must be user_id when `identity_mode` is accounts"));
        }
        Ok(Self {
            issuer: settings.account_issuer.clone(),
            life,
            seen_every: settings.account_seen_every,
            keys: Keys::new(&settings.account_keys)?,
        })
    }

    /// A new access token of a session.
    pub async fn issue(
        &self,
        store: &Store,
        subject: Subject<'_>,
        now: OffsetDateTime,
    ) -> Result<AccessToken> {
        let keys = self.keys.current(store).await?;
        let key = keys.first().ok_or_else(|| Error::internal("there is no key that signs"))?;
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.kid) = (Some(TYPE.to_owned()), Some(key.id.clone()));
        let expires_in_s = self.life.as_secs();
        let iat = now.unix_timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: subject.user_id.to_owned(),
            sid: hex(subject.session_id),
            r#gen: subject.generation,
            iat,
            exp: iat.saturating_add_unsigned(expires_in_s),
        };
        let token = encode(&header, &claims, &key.encoding).map_err(Error::internal)?;
        Ok(AccessToken { token: token.into(), expires_in_s })
    }

    /// The caller that an access token stands for.
    ///
    /// # Errors
    /// `Kind::Unauthenticated` if the token is not one of this instance, has expired, or its session has ended.
    pub async fn caller(&self, store: &Store, token: &str, now: OffsetDateTime) -> Result<Caller> {
        let claims = self.verified(store, token).await?;
        let now_s = now.unix_timestamp();
        if claims.exp.saturating_add(LEEWAY_SECONDS) <= now_s {
            return Err(refused("the token has expired: refresh it with POST /users/refresh"));
        }
        if claims.iat > now_s.saturating_add(LEEWAY_SECONDS) {
            return Err(refused("the token is not valid yet"));
        }
        let session_id = session_id(&claims.sid).ok_or_else(ended)?;
        let found = store.opt(sql!("identity/account/session"), &[&session_id, &claims.sub, &now]).await?;
        let row = found.ok_or_else(ended)?;
        let subject = Subject { user_id: &claims.sub, session_id: &session_id, generation: claims.r#gen };
        self.see(store, &row, subject, now).await;
        let roles = Roles::named(row.get::<_, Vec<&str>>("roles")).with(Role::User);
        let until = OffsetDateTime::from_unix_timestamp(claims.exp.saturating_add(LEEWAY_SECONDS)).ok();
        Ok(Caller { until, session_id: Some(session_id), ..Caller::named(claims.sub, roles) })
    }

    /// The claims of a token that one of our keys has signed for this instance.
    async fn verified(&self, store: &Store, token: &str) -> Result<Claims> {
        let not_ours = || refused("the token is not an access token of this service");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(not_ours());
        }
        let header = decode_header(token).map_err(|_| not_ours())?;
        // Only what `issue` writes. A key in the header (`jwk`, `jku`, `x5c`) is never looked at.
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(not_ours());
        }
        let kid = header.kid.ok_or_else(not_ours)?;
        let keys = self.keys.with(store, &kid).await?;
        let key = keys.iter().find(|key| key.id == kid).ok_or_else(not_ours)?;
        let claims = open(key, token).ok_or_else(not_ours)?;
        if claims.iss != self.issuer || claims.aud != self.issuer {
            return Err(refused("the token is for another service"));
        }
        Ok(claims)
    }

    /// Notes that the session is in use, if that was not noted for some minutes, or if the newest access token is seen for
    /// the first time. A request does not fail when this cannot be written: the next one tries again.
    async fn see(&self, store: &Store, row: &Row, subject: Subject<'_>, now: OffsetDateTime) {
        let (newest, seen): (i32, i32) = (row.get("generation"), row.get("seen_generation"));
        let generation = subject.generation.min(newest);
        let before = now - self.seen_every;
        if generation <= seen && row.get::<_, OffsetDateTime>("last_seen_at") > before {
            return;
        }
        let (id, user_id) = (subject.session_id, subject.user_id);
        let noted =
            store.run(sql!("identity/account/see"), &[&id, &generation, &now, &before, &user_id]).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "the use of a session could not be noted");
        }
    }

    /// The public keys as a JWK set (RFC 7517 §5).
    pub async fn public_keys(&self, store: &Store) -> Result<Value> {
        let keys = self.keys.current(store).await?;
        Ok(serde_json::json!({"keys": keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()}))
    }
}

fn ended() -> Error {
    refused("the session has ended: sign in again")
}

/// Reads the id of a session from 32 hexadecimal digits.
pub fn session_id(text: &str) -> Option<Vec<u8>> {
    let formed =
        text.len() == 2 * SESSION_ID_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    formed.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(|id| id.to_be_bytes().to_vec())
}

/// The claims, if this key has signed the token. The times are checked by the caller: the library would read the clock.
fn open(key: &SigningKey, token: &str) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    decode(token, &key.decoding, &validation).ok().map(|token| token.claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_32_small_hexadecimal_digits() {
        let id = session_id("000102030405060708090a0b0c0d0eff").expect("an id");
        assert_eq!((id.len(), hex(&id).as_str()), (SESSION_ID_BYTES, "000102030405060708090a0b0c0d0eff"));
        for text in ["", "00", "000102030405060708090A0B0C0D0EFF", "+00102030405060708090a0b0c0d0eff", "é"] {
            assert_eq!(session_id(text), None, "{text:?}");
        }
    }
}
