//! The keys that sign access tokens (Ed25519): those of the settings, or those that the database keeps.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::super::setting;
use crate::base::config::Secret;
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, Store};
use crate::sql;

const SEED_BYTES: usize = 32;
/// Keys of the database are read again after this long, so that every replica signs with the newest one.
const FRESH: Duration = Duration::from_secs(60);
/// The shortest time between two reads because of an unknown key. Any client can send one.
const PAUSE: Duration = Duration::from_secs(1);

/// A key that signs and verifies.
pub struct SigningKey {
    /// The thumbprint of the public key (RFC 7638).
    pub id: String,
    pub encoding: EncodingKey,
    pub decoding: DecodingKey,
    x: String,
}

impl SigningKey {
    fn of_seed(seed: &[u8]) -> Result<Self> {
        let unusable = |_| Error::internal("a key of accounts is not 32 bytes");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(unusable)?;
        let private = pair.to_pkcs8().map_err(|_| Error::internal("a key of accounts cannot be used"))?;
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Ok(Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
            encoding: EncodingKey::from_ed_der(private.as_ref()),
            decoding: DecodingKey::from_ed_components(&x).map_err(Error::internal)?,
            x,
        })
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": self.x})
    }
}

/// The first one signs.
type KeySet = Arc<Vec<SigningKey>>;

/// The keys of the settings, or those of the database as they were last read.
pub enum Keys {
    Settings(KeySet),
    Database { held: RwLock<Option<(Instant, KeySet)>>, reading: Mutex<()> },
}

impl Keys {
    pub fn new(secrets: &[Secret]) -> Result<Self> {
        if secrets.is_empty() {
            return Ok(Self::Database { held: RwLock::default(), reading: Mutex::default() });
        }
        let key = |secret: &Secret| {
            let seed = secret.key().ok_or_else(|| {
                setting(
                    "each of `account_keys` must be the base64 of 32 random bytes: openssl rand -base64 32",
                )
            })?;
            SigningKey::of_seed(&seed)
        };
        Ok(Self::Settings(Arc::new(secrets.iter().map(key).collect::<Result<_>>()?)))
    }

    /// The keys, none of them older than a minute.
    pub async fn current(&self, store: &Store) -> Result<KeySet> {
        self.no_older_than(store, FRESH).await
    }

    /// The keys, read again if this one is unknown.
    pub async fn with(&self, store: &Store, id: &str) -> Result<KeySet> {
        let keys = self.current(store).await?;
        if keys.iter().any(|key| key.id == id) {
            return Ok(keys);
        }
        self.no_older_than(store, PAUSE).await
    }

    async fn no_older_than(&self, store: &Store, age: Duration) -> Result<KeySet> {
        let (held, reading) = match self {
            Self::Settings(keys) => return Ok(keys.clone()),
            Self::Database { held, reading } => (held, reading),
        };
        let fresh = || {
            let held = held.read().unwrap_or_else(PoisonError::into_inner);
            held.as_ref().filter(|(read, _)| read.elapsed() < age).map(|(_, keys)| keys.clone())
        };
        if let Some(keys) = fresh() {
            return Ok(keys);
        }
        let _one_at_a_time = reading.lock().await;
        if let Some(keys) = fresh() {
            return Ok(keys);
        }
        let keys = Arc::new(read(store).await?);
        *held.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}

/// The keys of the database, the newest first. The first call makes one.
async fn read(store: &Store) -> Result<Vec<SigningKey>> {
    let mut rows = store.all(sql!("identity/account/keys"), &[]).await?;
    if rows.is_empty() {
        // Two replicas that start at once make two keys: both verify, and the newer one signs.
        rotate(store).await?;
        rows = store.all(sql!("identity/account/keys"), &[]).await?;
    }
    rows.iter().map(|row| SigningKey::of_seed(row.get("seed"))).collect()
}

/// Makes a new key, and deletes those that were replaced more than a day ago: no token of theirs is valid any more.
pub async fn rotate(store: &Store) -> Result<()> {
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(Error::internal)?;
    store.run(sql!("identity/account/rotate"), &[&seed.as_slice()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_thumbprint_of_its_public_half_and_shows_no_more() {
        let (one, other) = (SigningKey::of_seed(&[1; 32]).unwrap(), SigningKey::of_seed(&[2; 32]).unwrap());
        assert_ne!(one.id, other.id);
        assert_eq!(one.id, SigningKey::of_seed(&[1; 32]).unwrap().id, "on every replica");
        let jwk = one.jwk();
        let names: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!names.contains(&"d") && names.contains(&"x"), "{names:?}");
        assert!(SigningKey::of_seed(&[1; 31]).is_err());
    }

    #[test]
    fn a_key_that_is_no_key_stops_the_start() {
        assert!(Keys::new(&["short".to_owned().into()]).is_err());
        assert!(matches!(Keys::new(&[]).unwrap(), Keys::Database { .. }));
    }
}
