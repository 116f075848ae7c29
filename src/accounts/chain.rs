//! Refresh tokens: opaque, each derived from the one before.
//!
//! The database has the hash of the valid token and a key of the session. A token and the key together give the next token.
//! So the answer of an exchange can be given again without storing a token, a stolen database gives none, and a stolen old
//! token gives none without the database. A tag tells tokens that were given out from made-up ones: only the former may end a
//! session as used twice. Under the tag is also the number of exchanges before the token: a token that is ahead of the
//! database was given out before the database was restored.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::base::config::Secret;
use crate::base::error::{Error, Result};
use crate::identity::account::SESSION_ID_BYTES;

/// Lets secret scanners find a leaked token.
pub const PREFIX: &str = "imrt_";
const SECRET_BYTES: usize = 32;
const GENERATION_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// Bytes of the key of a session.
pub const KEY_BYTES: usize = 32;

/// A refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session_id: [u8; SESSION_ID_BYTES],
    secret: [u8; SECRET_BYTES],
    /// How many tokens of its session were exchanged before it.
    generation: i32,
    tag: [u8; TAG_BYTES],
}

impl RefreshToken {
    /// The first token of a new session.
    pub fn first(session_id: [u8; SESSION_ID_BYTES], key: &[u8]) -> Result<Self> {
        Self::of(session_id, (random()?, 0), key)
    }

    fn of(
        session_id: [u8; SESSION_ID_BYTES],
        (secret, generation): ([u8; SECRET_BYTES], i32),
        key: &[u8],
    ) -> Result<Self> {
        let whole = mac(key, b"tag", &[&secret, &generation.to_be_bytes()])?;
        let tag = std::array::from_fn(|place| whole[place]);
        Ok(Self { session_id, secret, generation, tag })
    }

    /// The token that this one is exchanged for. It is the same each time.
    pub fn next(&self, key: &[u8]) -> Result<Self> {
        let secret = mac(key, b"next", &[&self.secret])?;
        Self::of(self.session_id, (secret, self.generation.saturating_add(1)), key)
    }

    /// Reads what a client sends. None: it has not the form of a token.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (session_id, rest) = bytes.split_first_chunk()?;
        let (secret, rest) = rest.split_first_chunk()?;
        let (generation, tag) = rest.split_first_chunk::<GENERATION_BYTES>()?;
        let generation = i32::from_be_bytes(*generation);
        Some(Self { session_id: *session_id, secret: *secret, generation, tag: tag.try_into().ok()? })
    }

    /// The token as it is shown once.
    pub fn show(&self) -> Secret {
        let generation = self.generation.to_be_bytes();
        let bytes = [self.session_id.as_slice(), &self.secret, &generation, &self.tag].concat();
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)).into()
    }

    pub fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// What the database keeps.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.secret).to_vec()
    }

    /// Whether it was given out for the session with this key.
    pub fn is_of(&self, key: &[u8]) -> bool {
        Self::of(self.session_id, (self.secret, self.generation), key)
            .is_ok_and(|own| own.tag.ct_eq(&self.tag).into())
    }
}

/// Random bytes, for ids and keys of sessions.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

fn mac(key: &[u8], purpose: &[u8], parts: &[&[u8]]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)?;
    mac.update(purpose);
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; KEY_BYTES] = [1; KEY_BYTES];

    #[test]
    fn a_token_is_opaque_and_its_successor_is_the_same_each_time() {
        let first = RefreshToken::first([7; 16], &KEY).unwrap();
        let (next, again) = (first.next(&KEY).unwrap(), first.next(&KEY).unwrap());
        assert!(next == again && next != first && next.next(&KEY).unwrap() != next);
        assert!(first.next(&[2; KEY_BYTES]).unwrap() != next, "not without the key of the session");
        let shown = next.show();
        assert_eq!(shown.expose().len(), 96);
        assert_eq!([first.generation(), next.generation()], [0, 1]);
        assert!(RefreshToken::parse(shown.expose()) == Some(next));
        assert!(RefreshToken::first([7; 16], &KEY).unwrap() != first);
    }

    #[test]
    fn a_made_up_token_is_told_from_one_that_was_given_out() {
        let token = RefreshToken::first([7; 16], &KEY).unwrap();
        assert!(token.is_of(&KEY) && token.next(&KEY).unwrap().is_of(&KEY));
        assert!(!token.is_of(&[2; KEY_BYTES]));
        for place in 0..SECRET_BYTES + GENERATION_BYTES + TAG_BYTES {
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&token.show().expose()[PREFIX.len()..]).unwrap();
            bytes[SESSION_ID_BYTES + place] ^= 1;
            let forged =
                RefreshToken::parse(&format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))).unwrap();
            assert!(!forged.is_of(&KEY), "byte {place}");
        }
        for text in ["", "imrt_", "imrt_AAAA", "im_AAAA", "é"] {
            assert!(RefreshToken::parse(text).is_none(), "{text}");
        }
        let long = format!("{}AAAA", token.show().expose());
        assert!(RefreshToken::parse(&long).is_none());
    }
}
