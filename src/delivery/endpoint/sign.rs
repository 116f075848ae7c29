//! Signatures and secrets of Standard Webhooks 1.0.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};

/// Prefix of a Standard Webhooks secret.
const SECRET_MARK: &str = "whsec_";
/// Shortest secret that Standard Webhooks allows.
const SECRET_MIN_BYTES: usize = 24;
/// Length of a new secret.
const SECRET_BYTES: usize = 32;

/// A new secret: its bytes and its text form.
pub(super) fn mint() -> Result<(Vec<u8>, String)> {
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok((bytes.to_vec(), encode(&bytes)))
}

/// The text form of a secret.
pub(super) fn encode(bytes: &[u8]) -> String {
    format!("{SECRET_MARK}{}", BASE64_STANDARD.encode(bytes))
}

/// The bytes of a secret from the settings.
pub(super) fn decode(secret: &Secret) -> Result<Vec<u8>> {
    let refuse = || {
        Error::new(
            Kind::Internal,
            "each of callback_secrets must be whsec_ and the base64 of at least 24 random bytes; make one with: \
             echo whsec_$(openssl rand -base64 32)",
        )
    };
    let encoded = secret.expose().strip_prefix(SECRET_MARK).ok_or_else(refuse)?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| refuse())?;
    if bytes.len() < SECRET_MIN_BYTES { Err(refuse()) } else { Ok(bytes) }
}

/// The `webhook-signature` header: one `v1` signature for each secret.
pub(super) fn sign(secrets: &[Vec<u8>], id: &str, timestamp: &str, body: &[u8]) -> String {
    let one = |secret: &Vec<u8>| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}
