//! SHA-256 over the requests of an upload, and the checksum of one request.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::digest::generic_array::GenericArray;

use crate::base::error::{Error, Kind, Result};

/// Bytes of a block of SHA-256.
pub const BLOCK: usize = 64;
/// The state before the first block (FIPS 180-4, section 5.3.3).
const FIRST: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// What an `Upload-Checksum` can name.
pub const ALGORITHMS: &str = "sha1,sha256,sha512";

/// SHA-256 after a whole number of blocks. Unlike a hasher it can be stored, so that the next request goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Sha256State {
    words: [u32; 8],
    hashed: u64,
}

impl Sha256State {
    pub fn new() -> Self {
        Self { words: FIRST, hashed: 0 }
    }

    /// The state that [`Self::bytes`] gave after `hashed` bytes.
    pub fn restore(bytes: Option<&[u8]>, hashed: i64) -> Result<Self> {
        let Some(bytes) = bytes else { return Ok(Self::new()) };
        let broken = || Error::internal("the hash state of an upload is broken");
        let hashed = u64::try_from(hashed).map_err(|_| broken())?;
        if bytes.len() != 32 || !hashed.is_multiple_of(BLOCK as u64) {
            return Err(broken());
        }
        let mut words = FIRST;
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        Ok(Self { words, hashed })
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Goes on by whole blocks. What is left of the last block is not hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        for block in bytes.as_chunks::<BLOCK>().0 {
            sha2::compress256(&mut self.words, std::slice::from_ref(GenericArray::from_slice(block)));
            self.hashed += BLOCK as u64;
        }
    }

    /// The SHA-256 of everything, with `rest` as the last bytes.
    pub fn finish(mut self, rest: &[u8]) -> Vec<u8> {
        self.update(rest);
        let left = &rest[rest.len() - rest.len() % BLOCK..];
        let bits = (self.hashed + left.len() as u64) * 8;
        let mut padded = left.to_vec();
        padded.push(0x80);
        padded.resize((padded.len() + 8).next_multiple_of(BLOCK) - 8, 0);
        padded.extend(bits.to_be_bytes());
        self.update(&padded);
        self.bytes()
    }
}

/// The checksum of one request.
pub struct Checksum {
    expected: Vec<u8>,
    seen: Context,
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checksum")
    }
}

impl Checksum {
    /// Reads an `Upload-Checksum`: an algorithm and the base64 of a digest.
    pub fn parse(header: &str) -> Result<Self> {
        let refuse = || {
            Error::parameter("upload-checksum", format!("must be one of {ALGORITHMS}, a blank and base64"))
        };
        let (algorithm, digest) = header.split_once(' ').ok_or_else(refuse)?;
        let algorithm = match algorithm {
            "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &SHA256,
            "sha512" => &SHA512,
            _ => return Err(refuse()),
        };
        let expected = BASE64_STANDARD.decode(digest.trim()).map_err(|_| refuse())?;
        if expected.len() != algorithm.output_len() {
            return Err(refuse());
        }
        Ok(Self { expected, seen: Context::new(algorithm) })
    }

    /// A SHA-256 that the whole body must have.
    pub fn sha256(expected: Vec<u8>) -> Self {
        Self { expected, seen: Context::new(&SHA256) }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.seen.update(bytes);
    }

    pub fn check(self) -> Result<()> {
        if self.seen.finish().as_ref() == self.expected {
            return Ok(());
        }
        Err(Error::new(Kind::ChecksumMismatch, "the bytes of this request are discarded; send them again"))
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn a_digest_that_is_stored_between_blocks_is_the_same() {
        let bytes: Vec<u8> = (0..1_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 500, 1_000] {
            for cut in (0..=length).step_by(BLOCK) {
                let mut first = Sha256State::new();
                first.update(&bytes[..cut]);
                let stored = first.bytes();
                let second = Sha256State::restore(Some(&stored), cut as i64).unwrap();
                let digest = second.finish(&bytes[cut..length]);
                assert_eq!(digest, Sha256::digest(&bytes[..length]).to_vec(), "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_broken_state_is_refused() {
        for (bytes, hashed) in [(31, 64), (33, 64), (32, 63), (32, -64)] {
            assert!(Sha256State::restore(Some(&vec![0; bytes]), hashed).is_err(), "{bytes} {hashed}");
        }
    }

    #[test]
    fn a_checksum_names_its_algorithm() {
        let of = |header: &str| {
            Checksum::parse(header).and_then(|mut sum| {
                sum.update(b"hello ");
                sum.update(b"world");
                sum.check()
            })
        };
        assert!(of("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").is_ok());
        assert!(of("sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=").is_ok());
        assert_eq!(of("sha1 AAAsNclPz7QV2+lfQIuc6R7oRu0=").unwrap_err().kind, Kind::ChecksumMismatch);
        for wrong in ["", "sha1", "md5 AAAA", "sha1 ???", "sha1 AAAA", "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0="]
        {
            assert_eq!(of(wrong).unwrap_err().kind, Kind::InvalidParameter, "{wrong}");
        }
    }
}
