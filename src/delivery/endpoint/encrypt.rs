//! Encrypts an endpoint's secrets for the database: AES-256-GCM with the keys of the settings.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};

/// The first byte of encrypted data: the format version.
const FORM: u8 = 1;

/// The keys of the settings. The first one encrypts and all of them decrypt, so that a key can be replaced.
pub struct Keys(Vec<RandomizedNonceKey>);

/// What is encrypted, and for which endpoint. It decrypts only under the same label.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    pub what: &'static str,
    pub callback_id: &'a str,
}

impl Label<'_> {
    fn bytes(self) -> Vec<u8> {
        format!("im-push-gateway:{}:{}", self.what, self.callback_id).into_bytes()
    }
}

impl Keys {
    /// Reads keys from the settings: base64 of 32 bytes each.
    pub fn parse(encoded: &[Secret]) -> Result<Self> {
        let refuse =
            || Error::new(Kind::Internal, "each of callback_keys must be the base64 of 32 random bytes");
        let key = |secret: &Secret| {
            let bytes = secret.key().ok_or_else(refuse)?;
            RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| refuse())
        };
        encoded.iter().map(key).collect::<Result<_>>().map(Self)
    }

    /// Encrypts with the first key. Without a key it is a conflict.
    pub fn encrypt(&self, label: Label<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        let key = self
            .0
            .first()
            .ok_or_else(|| Error::new(Kind::Conflict, "set `callback_keys` to create callbacks"))?;
        let mut encrypted = plain.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(label.bytes()), &mut encrypted)
            .map_err(|_| Error::internal("encryption failed"))?;
        Ok([&[FORM], nonce.as_ref().as_slice(), &encrypted].concat())
    }

    /// Decrypts what one of the keys encrypted under the same label; `None` otherwise.
    pub fn open(&self, label: Label<'_>, encrypted: &[u8]) -> Option<Vec<u8>> {
        let (form, rest) = encrypted.split_first()?;
        let (nonce, cipher) = rest.split_at_checked(NONCE_LEN)?;
        if *form != FORM {
            return None;
        }
        let open = |key: &RandomizedNonceKey| {
            let mut cipher = cipher.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let plain = key.open_in_place(nonce, Aad::from(label.bytes()), &mut cipher).ok()?;
            Some(plain.to_vec())
        };
        self.0.iter().find_map(open)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    const LABEL: Label<'_> = Label { what: "secret", callback_id: "portal" };

    fn keys(numbers: &[u8]) -> Keys {
        let encode = |n: &u8| Secret::from(BASE64_STANDARD.encode([*n; 32]));
        Keys::parse(&numbers.iter().map(encode).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_and_shows_nothing() {
        let encrypted = keys(&[1]).encrypt(LABEL, b"a secret").unwrap();
        assert_eq!(keys(&[1]).open(LABEL, &encrypted).unwrap(), b"a secret");
        assert!(!encrypted.windows(6).any(|part| part == b"secret"));
        assert_ne!(encrypted, keys(&[1]).encrypt(LABEL, b"a secret").unwrap(), "no nonce comes twice");
    }

    #[test]
    fn a_replaced_key_still_opens_and_the_new_one_seals() {
        let old = keys(&[1]).encrypt(LABEL, b"old").unwrap();
        let rotated = keys(&[2, 1]);
        assert_eq!(rotated.open(LABEL, &old).unwrap(), b"old");
        let new = rotated.encrypt(LABEL, b"new").unwrap();
        assert_eq!(keys(&[2]).open(LABEL, &new).unwrap(), b"new");
        assert_eq!(keys(&[1]).open(LABEL, &new), None);
    }

    #[test]
    fn nothing_opens_under_another_key_or_label_or_once_it_is_changed() {
        let encrypted = keys(&[1]).encrypt(LABEL, b"a secret").unwrap();
        assert_eq!(keys(&[2]).open(LABEL, &encrypted), None);
        assert_eq!(keys(&[]).open(LABEL, &encrypted), None);
        assert_eq!(keys(&[1]).open(Label { callback_id: "other", ..LABEL }, &encrypted), None);
        assert_eq!(keys(&[1]).open(Label { what: "headers", ..LABEL }, &encrypted), None);
        for place in 0..encrypted.len() {
            let mut tampered = encrypted.clone();
            tampered[place] ^= 1;
            assert_eq!(keys(&[1]).open(LABEL, &tampered), None, "byte {place}");
            assert_eq!(keys(&[1]).open(LABEL, &encrypted[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn keys_are_checked_and_without_one_nothing_is_sealed() {
        for bad in ["", "abc", "AAAA", "not base64 at all, but of some length"] {
            assert!(Keys::parse(&[Secret::from(bad.to_owned())]).is_err(), "{bad:?}");
        }
        assert_eq!(keys(&[]).encrypt(LABEL, b"x").unwrap_err().kind, Kind::Conflict);
    }
}
