//! Secrets that are shown once: 256 random bits behind a prefix. The database has only their hash, from which they
//! cannot be found.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::{Error, Result};

const BYTES: usize = 32;
/// The random bits in base64url (RFC 4648 §5).
const CHARS: usize = 43;

/// A new secret.
pub fn mint(prefix: &str) -> Result<String> {
    let mut bits = [0; BYTES];
    getrandom::fill(&mut bits).map_err(Error::internal)?;
    Ok(format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(bits)))
}

/// The SHA-256 of a secret. A lookup by it tells nothing about how much of a guess is right.
pub fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// Whether a text has the form of a secret with this prefix.
pub fn is_formed(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_256_random_bits_and_shows_its_origin() {
        let (one, other) = (mint("impg_").unwrap(), mint("impg_").unwrap());
        assert_ne!(one, other);
        let bits = one.strip_prefix("impg_").unwrap();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(bits).unwrap().len(), BYTES);
        assert!(is_formed("impg_", &one) && hash(&one).len() == 32);
        assert!(!is_formed("impr_", &one) && !is_formed("impg_", &one[..47]) && !is_formed("impg_", bits));
    }
}
