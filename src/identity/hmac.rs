//! Identity headers with a signature over the request (RFC 2104, FIPS 180-4).
//!
//! The signed text is `v1\n{METHOD}\n{path and query}\n{SHA-256 of the body, hex}\n{user}\n{roles}\n{time}`.
//! The values are those of the received request. An absent header is empty. A signature is valid once, so a
//! client that repeats a request must sign it again. Two equal requests within one second differ by the
//! fraction of their time.

use ::hmac::{Hmac, Mac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::headers::ClaimedUser;
use super::{Caller, Claimed, refused, setting};
use crate::base::config::{IdentitySettings, Secret};
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::base::text::hex;
use crate::sql;

pub const USER: HeaderName = HeaderName::from_static("x-user-id");
pub const ROLES: HeaderName = HeaderName::from_static("x-user-roles");
pub const TIMESTAMP: HeaderName = HeaderName::from_static("x-signature-timestamp");
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

/// RFC 2104 §3: a key shorter than the hash is weak.
const SECRET_MIN_BYTES: usize = 32;
/// A wider window only stores more signatures for longer.
const SKEW_MAX: Duration = Duration::minutes(15);
/// The length of `18446744073709551615.999999999`.
const TIMESTAMP_MAX_BYTES: usize = 30;
/// Signatures deleted in one statement.
const PRUNE_BATCH: i64 = 10_000;

/// The secrets for signatures, and the allowed clock difference.
pub struct Signatures {
    secrets: Vec<Secret>,
    skew: Duration,
}

/// The signature headers, before the signature is checked.
pub struct Head<'a> {
    caller: Caller,
    stamp: &'a str,
    at: OffsetDateTime,
    signature: [u8; 32],
}

/// A valid signature. It can still be a replay.
#[derive(Debug)]
pub struct VerifiedSignature {
    pub caller: Caller,
    signature: [u8; 32],
    expires_at: OffsetDateTime,
}

impl Signatures {
    /// Refuses missing or short secrets, and a skew outside the limits.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        if settings.hmac_secrets.is_empty() {
            return Err(setting("set `hmac_secrets`"));
        }
        if settings.hmac_secrets.iter().any(|secret| secret.expose().len() < SECRET_MIN_BYTES) {
            return Err(setting("`hmac_secrets`: every secret must have at least 32 bytes"));
        }
        let skew = Duration::try_from(settings.hmac_skew).unwrap_or(Duration::MAX);
        if skew < Duration::SECOND || skew > SKEW_MAX {
            return Err(setting("`hmac_skew_ms` must be from 1000 to 900000"));
        }
        Ok(Self { secrets: settings.hmac_secrets.clone(), skew })
    }

    /// Checks everything that does not need the body: user, time, format of the signature.
    pub fn head<'a>(
        &self,
        headers: &'a HeaderMap,
        person: &ClaimedUser<'_>,
        now: OffsetDateTime,
    ) -> Result<Head<'a>> {
        let caller = person.caller()?;
        let stamp = headers.get(TIMESTAMP).and_then(|value| value.to_str().ok());
        let stamp = stamp.ok_or_else(|| refused("the header x-signature-timestamp is missing"))?;
        let at = moment(stamp).ok_or_else(|| {
            Error::parameter(TIMESTAMP.as_str(), "x-signature-timestamp must be Unix seconds")
        })?;
        if (now - at).abs() > self.skew {
            return Err(refused("the signature's timestamp differs too much from the current time"));
        }
        let signature = headers.get(SIGNATURE).ok_or_else(|| refused("the header x-signature is missing"))?;
        let signature: [u8; 32] =
            STANDARD.decode(signature).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
                Error::parameter(SIGNATURE.as_str(), "x-signature must be 32 bytes in base64")
            })?;
        Ok(Head { caller, stamp, at, signature })
    }

    /// Checks time and signature. The caller is authenticated once [`claim`] has recorded the signature.
    pub fn verify(
        &self,
        claimed: &Claimed<'_>,
        person: &ClaimedUser<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedSignature> {
        let Head { caller, stamp, at, signature } = self.head(claimed.headers, person, now)?;
        let text = signed_text(claimed, person, stamp)?;
        // Always tries every secret, so that the time does not reveal which one matches.
        let tried = self.secrets.iter().filter(|secret| mac(secret, &text).verify(&signature.into()).is_ok());
        if tried.count() == 0 {
            return Err(refused("the signature does not match the request"));
        }
        // Twice the skew, in case the clock of a replica is behind that of the replica that prunes.
        Ok(VerifiedSignature { caller, signature, expires_at: at + self.skew * 2 })
    }
}

/// Marks the signature as used, for all replicas.
///
/// # Errors
/// `Kind::Unauthenticated` for a replay. `Kind::Unavailable` if the database is away; then no signed request
/// is accepted.
pub async fn claim(store: &Store, proven: &VerifiedSignature) -> Result<()> {
    match store
        .run(sql!("identity/hmac/claim_signature"), &[&proven.signature.as_slice(), &proven.expires_at])
        .await?
    {
        0 => Err(refused("the signature was already used")),
        _ => Ok(()),
    }
}

/// Deletes signatures that have expired. Maintenance repeats it until it returns 0.
pub async fn prune_replays(store: &Store, now: OffsetDateTime) -> Result<u64> {
    store.run(sql!("identity/hmac/prune_replays"), &[&now, &PRUNE_BATCH]).await
}

fn signed_text(claimed: &Claimed<'_>, person: &ClaimedUser<'_>, stamp: &str) -> Result<Vec<u8>> {
    let body =
        claimed.body.ok_or_else(|| Error::internal("a signed request was checked without its body"))?;
    let digest = hex(&Sha256::digest(body));
    let parts = [
        b"v1".as_slice(),
        claimed.method.as_str().as_bytes(),
        claimed.path_and_query.as_bytes(),
        digest.as_bytes(),
        person.sent.unwrap_or_default(),
        person.roles.unwrap_or_default(),
        stamp.as_bytes(),
    ];
    Ok(parts.join(b"\n".as_slice()))
}

fn mac(secret: &Secret, text: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    mac.expect("HMAC takes a key of any length").chain_update(text)
}

/// Unix seconds with up to nine decimals. Only digits and one point, so that the text has one meaning.
fn moment(stamp: &str) -> Option<OffsetDateTime> {
    let (seconds, fraction) = stamp.split_once('.').unwrap_or((stamp, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if stamp.len() > TIMESTAMP_MAX_BYTES || fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let start = OffsetDateTime::from_unix_timestamp(seconds.parse().ok()?).ok()?;
    start.checked_add(Duration::nanoseconds(nanos))
}

#[cfg(test)]
pub(super) mod tests;
