//! Links that a page can put into `<img>`: they need no sign-in, and hold for some minutes.
//!
//! A link names the user who asked for it. It opens only while that user may read the file.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use time::OffsetDateTime;

use super::Files;
use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{self, FileId};

/// What a link gives, to which user, until when.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    #[serde(rename = "f", with = "number::plain")]
    pub file_id: FileId,
    #[serde(rename = "v")]
    pub form: String,
    #[serde(rename = "u")]
    pub user_id: String,
    /// In seconds since 1970.
    #[serde(rename = "e")]
    pub expires: i64,
}

/// The keys of the settings, which are checked. The first one signs, and all of them are accepted.
#[derive(Default)]
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Reads keys: base64 of 32 bytes each. None: one of them is not.
    pub fn parse(encoded: &[Secret]) -> Option<Self> {
        encoded.iter().map(Secret::key).collect::<Option<_>>().map(Self)
    }

    fn sign(&self, link: &Link) -> Result<String> {
        let detail = "set `file_link_keys` to make links";
        let key = self.0.first().ok_or_else(|| Error::new(Kind::Conflict, detail))?;
        let body = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(link).map_err(Error::internal)?);
        let sum = mac(key, &body)?.finalize().into_bytes();
        Ok(format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(sum)))
    }

    fn open(&self, token: &str) -> Option<Link> {
        let (body, sum) = token.split_once('.')?;
        let sum = BASE64_URL_SAFE_NO_PAD.decode(sum).ok()?;
        // The comparison takes as long for every sum.
        self.0.iter().find(|key| mac(key, body).is_ok_and(|mac| mac.verify_slice(&sum).is_ok()))?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).ok()?).ok()
    }
}

/// The purpose is signed, too, so that no signature of another purpose is one of a link.
fn mac(key: &[u8], body: &str) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)?;
    mac.update(b"im-push-gateway:file-link:");
    mac.update(body.as_bytes());
    Ok(mac)
}

impl Files {
    /// A token for a link to a form of a file that the user may read, and when it expires.
    pub async fn link(
        &self,
        file_id: FileId,
        user_id: &str,
        form: &str,
        now: OffsetDateTime,
    ) -> Result<(String, OffsetDateTime)> {
        self.content(file_id, user_id, form, now).await?;
        let expires_at = now + self.settings.link_life;
        // Whole seconds: the answer says what the link holds.
        let expires_at = expires_at.replace_nanosecond(0).map_err(Error::internal)?;
        let link = Link {
            file_id,
            form: form.to_owned(),
            user_id: user_id.to_owned(),
            expires: expires_at.unix_timestamp(),
        };
        Ok((self.keys.sign(&link)?, expires_at))
    }

    /// What a token is for, unless it is forged or has expired.
    pub fn linked(&self, token: &str, now: OffsetDateTime) -> Result<Link> {
        let link = self.keys.open(token).filter(|link| now.unix_timestamp() < link.expires);
        link.ok_or_else(|| Error::not_found("no such link, or it has expired"))
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn keys(numbers: &[u8]) -> Keys {
        let encode = |n: &u8| Secret::from(BASE64_STANDARD.encode([*n; 32]));
        Keys::parse(&numbers.iter().map(encode).collect::<Vec<_>>()).unwrap()
    }

    fn link() -> Link {
        Link {
            file_id: FileId(42), form: "thumbnail".into(), user_id: "张三".into(), expires: 1_800_000_000
        }
    }

    #[test]
    fn a_link_opens_with_the_keys_that_signed_it_also_after_a_rotation() {
        let token = keys(&[1]).sign(&link()).unwrap();
        assert_eq!(keys(&[1]).open(&token), Some(link()));
        assert_eq!(keys(&[2, 1]).open(&token), Some(link()));
        assert_eq!(keys(&[2]).open(&token), None);
        assert_eq!(keys(&[]).open(&token), None);
        assert_eq!(keys(&[]).sign(&link()).unwrap_err().kind, Kind::Conflict);
    }

    #[test]
    fn a_changed_link_opens_nothing() {
        let token = keys(&[1]).sign(&link()).unwrap();
        let (body, sum) = token.split_once('.').unwrap();
        let other = BASE64_URL_SAFE_NO_PAD
            .encode(serde_json::to_vec(&Link { file_id: FileId(43), ..link() }).unwrap());
        for forged in [
            format!("{other}.{sum}"),
            body.to_owned(),
            format!("{body}."),
            format!("{body}.{body}"),
            ".".into(),
        ] {
            assert_eq!(keys(&[1]).open(&forged), None, "{forged}");
        }
        for at in (0..token.len()).filter(|at| *at != body.len()) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            // The last character has bits that count for nothing.
            if at + 1 < token.len() {
                assert_eq!(keys(&[1]).open(&String::from_utf8(changed).unwrap()), None, "{at}");
            }
        }
    }

    #[test]
    fn keys_have_32_bytes() {
        for bad in ["", "abc", "AAAA", "not base64 at all, but of some length"] {
            assert!(Keys::parse(&[Secret::from(bad.to_owned())]).is_none(), "{bad:?}");
        }
    }
}
