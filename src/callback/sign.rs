//! Signatures and secrets as of Standard Webhooks 1.0.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::Secret;
use crate::error::{Error, Kind, Result};

/// Begins a secret of Standard Webhooks.
const SECRET_MARK: &str = "whsec_";
/// Fewest bytes of a secret, as Standard Webhooks demands.
const SECRET_MIN_BYTES: usize = 24;
/// Bytes of a secret that we make.
const SECRET_BYTES: usize = 32;

/// A new secret: its bytes, and how its owner writes it down.
pub(super) fn mint() -> Result<(Vec<u8>, String)> {
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok((bytes.to_vec(), encode(&bytes)))
}

/// How the owner of a secret writes it down.
pub(super) fn encode(bytes: &[u8]) -> String {
    format!("{SECRET_MARK}{}", BASE64_STANDARD.encode(bytes))
}

/// The bytes of a secret of the settings.
pub(super) fn decode(secret: &Secret) -> Result<Vec<u8>> {
    let refuse = || {
        Error::new(
            Kind::Internal,
            "a callback secret must be whsec_ and the base64 of at least 24 random bytes",
        )
    };
    let encoded = secret.expose().strip_prefix(SECRET_MARK).ok_or_else(refuse)?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| refuse())?;
    if bytes.len() < SECRET_MIN_BYTES { Err(refuse()) } else { Ok(bytes) }
}

/// The `webhook-signature` header: one `v1` signature a secret.
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
