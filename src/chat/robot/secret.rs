//! The address of a robot and its secret. Both are shown once.
//!
//! The token in the address is random. The secret is derived from the token and a salt. The database has the hash of
//! the token and the salt: neither it nor an address alone gives the secret.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use time::{Duration, OffsetDateTime};

use super::Refusal;
use crate::base::bearer;
use crate::base::config::Secret;
use crate::base::error::{Error, Result};
use crate::base::text::hex;

/// Lets secret scanners find a token that has leaked.
const TOKEN_PREFIX: &str = "impr_";
const SALT_BYTES: usize = 32;
/// Clients of DingTalk sign only with secrets that begin with this.
const SECRET_PREFIX: &str = "SEC";
/// How far the timestamp of a signature may be off, as at DingTalk.
const TIMESTAMP_MAX_OFF: Duration = Duration::HOUR;

/// A new address, with the secret that belongs to it.
#[derive(Debug)]
pub struct Address {
    token: Secret,
    secret: Secret,
    salt: Vec<u8>,
}

impl Address {
    pub(super) fn mint() -> Result<Self> {
        let token = bearer::mint(TOKEN_PREFIX)?;
        let mut salt = vec![0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(Error::internal)?;
        let secret = secret_of(&token, &salt)?;
        Ok(Self { token: token.into(), secret, salt })
    }

    /// The token in the address.
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    pub fn secret(&self) -> &str {
        self.secret.expose()
    }

    pub(super) fn token_hash(&self) -> Vec<u8> {
        bearer::hash(self.token.expose())
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }
}

/// The hash by which a token is found, unless it has another form.
pub(super) fn token_hash(token: &str) -> Option<Vec<u8>> {
    bearer::is_formed(TOKEN_PREFIX, token).then(|| bearer::hash(token))
}

/// The secret of the robot with a token.
pub(super) fn secret_of(token: &str, salt: &[u8]) -> Result<Secret> {
    let sum = mac(salt, token)?.finalize().into_bytes();
    Ok(format!("{SECRET_PREFIX}{}", hex(&sum)).into())
}

/// What a call gives as a proof that it knows the secret.
#[derive(Default)]
pub struct Proof<'a> {
    /// DingTalk: milliseconds since 1970, and the signature over them.
    pub timestamp: Option<&'a str>,
    pub sign: Option<&'a str>,
    /// WeCom: the secret itself.
    pub key: Option<&'a str>,
}

impl Proof<'_> {
    /// Refuses a call without a proof that is needed, and one with a wrong proof, needed or not.
    pub(super) fn check(
        &self,
        secret: &Secret,
        is_needed: bool,
        now: OffsetDateTime,
    ) -> std::result::Result<(), Refusal> {
        let secret = secret.expose();
        let is_signed = self.timestamp.is_some() || self.sign.is_some();
        if is_signed {
            self.check_signature(secret, now)?;
        }
        match self.key {
            Some(key) if is_same(secret, key)? => Ok(()),
            Some(_) => Err(Refusal::UnknownAddress),
            None if is_needed && !is_signed => Err(Refusal::WrongSignature),
            None => Ok(()),
        }
    }

    fn check_signature(&self, secret: &str, now: OffsetDateTime) -> std::result::Result<(), Refusal> {
        let (Some(timestamp), Some(sign)) = (self.timestamp, self.sign) else {
            return Err(Refusal::WrongSignature);
        };
        let ms: i64 = timestamp.trim().parse().map_err(|_| Refusal::OldTimestamp)?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
        let is_near = at.is_ok_and(|at| (now - at).abs() <= TIMESTAMP_MAX_OFF);
        if !is_near {
            return Err(Refusal::OldTimestamp);
        }
        // A `+` that was not encoded arrives as a blank.
        let sum = BASE64_STANDARD.decode(sign.replace(' ', "+")).map_err(|_| Refusal::WrongSignature)?;
        let mac = mac(secret.as_bytes(), &format!("{}\n{secret}", timestamp.trim()))?;
        // The comparison takes as long for every sum.
        mac.verify_slice(&sum).map_err(|_| Refusal::WrongSignature)
    }
}

/// Compares in the same time for every key.
fn is_same(secret: &str, key: &str) -> Result<bool> {
    let sum = mac(secret.as_bytes(), secret)?.finalize().into_bytes();
    Ok(mac(secret.as_bytes(), key)?.verify_slice(&sum).is_ok())
}

fn mac(key: &[u8], text: &str) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)?;
    mac.update(text.as_bytes());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "SEC0123456789abcdef";
    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-30 08:00 UTC);

    fn sign(timestamp: &str, secret: &str) -> String {
        let mac = mac(secret.as_bytes(), &format!("{timestamp}\n{secret}")).unwrap();
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    }

    fn judged(timestamp: Option<&str>, sign: Option<&str>, key: Option<&str>, is_needed: bool) -> String {
        let proof = Proof { timestamp, sign, key };
        let judged = proof.check(&SECRET.to_owned().into(), is_needed, NOW);
        judged.map_or_else(|refusal| format!("{refusal:?}"), |()| "ok".to_owned())
    }

    #[test]
    fn an_address_and_the_database_alone_give_no_secret() {
        let (one, other) = (Address::mint().unwrap(), Address::mint().unwrap());
        assert_ne!(one.token(), other.token());
        assert_ne!(one.secret(), other.secret());
        assert_eq!(token_hash(one.token()), Some(one.token_hash()));
        assert_eq!(token_hash("impr_short"), None);
        assert!(one.secret().starts_with("SEC") && one.secret().len() == 67);
        assert_eq!(secret_of(one.token(), one.salt()).unwrap().expose(), one.secret());
        assert_ne!(secret_of(one.token(), other.salt()).unwrap().expose(), one.secret());
        assert!(!format!("{one:?}").contains(one.secret()) && !format!("{one:?}").contains(one.token()));
    }

    #[test]
    fn a_signature_is_that_of_dingtalk() {
        // By DingTalk's own sample in Python: hmac.new(secret, f"{timestamp}\n{secret}", sha256).
        let signed = sign("1577262236757", "this is secret");
        assert_eq!(signed, "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM=");
    }

    #[test]
    fn a_proof_is_checked_if_it_is_given_or_needed() {
        let ms = |off: Duration| ((NOW + off).unix_timestamp_nanos() / 1_000_000).to_string();
        for off in [Duration::ZERO, Duration::minutes(-60), Duration::minutes(60)] {
            let at = ms(off);
            assert_eq!(judged(Some(&at), Some(&sign(&at, SECRET)), None, true), "ok");
            assert_eq!(judged(Some(&at), Some(&sign(&at, "SECother")), None, false), "WrongSignature");
            assert_eq!(judged(Some(&at), None, None, false), "WrongSignature");
        }
        for off in [Duration::minutes(-61), Duration::minutes(61)] {
            let at = ms(off);
            assert_eq!(judged(Some(&at), Some(&sign(&at, SECRET)), None, true), "OldTimestamp");
        }
        for odd in ["", "x", "1e9", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(judged(Some(odd), Some(&sign(odd, SECRET)), None, true), "OldTimestamp", "{odd}");
        }
        assert_eq!(judged(None, None, Some(SECRET), true), "ok");
        assert_eq!(judged(None, None, Some(SECRET), false), "ok");
        let (at, stale) = (ms(Duration::ZERO), ms(Duration::days(-1)));
        let (signed, forged) = (sign(&at, SECRET), sign(&at, "SECother"));
        for is_needed in [true, false] {
            assert_eq!(judged(None, None, Some("other"), is_needed), "UnknownAddress");
            // Of two proofs each must be right.
            assert_eq!(judged(Some(&at), Some(&signed), Some(SECRET), is_needed), "ok");
            assert_eq!(judged(Some(&at), Some(&signed), Some("other"), is_needed), "UnknownAddress");
            assert_eq!(judged(Some(&at), Some(&forged), Some(SECRET), is_needed), "WrongSignature");
            assert_eq!(judged(Some(&stale), Some(&signed), Some(SECRET), is_needed), "OldTimestamp");
        }
        assert_eq!(judged(None, None, None, true), "WrongSignature");
        assert_eq!(judged(None, None, None, false), "ok");
    }
}
