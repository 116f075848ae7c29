//! Writes one user over HTTP: a merge patch or a SCIM PatchOp, always with `If-Match`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use serde_json::Value;

use super::{Answer, Http, Miss, at, scim};
use crate::sync::source::{Entry, Later, Seen, Writer, Written};
use crate::sync::values::Values;

impl From<Miss> for Later {
    fn from(miss: Miss) -> Self {
        Self::because(miss.reason)
    }
}

impl Answer {
    fn later(&self) -> Later {
        Later {
            reason: format!("the source answers {}", self.status.as_u16()),
            retry_after: self.retry_after,
        }
    }
}

impl Writer for Http {
    fn takes(&self, attribute: &str) -> bool {
        let shaped =
            if self.0.is_scim() { scim::takes(attribute) } else { self.0.fields.path(attribute).is_some() };
        shaped && !self.0.settings.write_url.is_empty()
    }

    fn read<'a>(&'a self, external_id: &'a str) -> BoxFuture<'a, Seen> {
        async move { self.heard(external_id).await.unwrap_or_else(Seen::Later) }.boxed()
    }

    fn write<'a>(
        &'a self,
        external_id: &'a str,
        present: (&'a str, &'a Values),
        changes: &'a Values,
    ) -> BoxFuture<'a, Written> {
        async move { self.written(external_id, present, changes).await.unwrap_or_else(Written::Later) }
            .boxed()
    }
}

impl Http {
    async fn heard(&self, external_id: &str) -> Result<Seen, Later> {
        let no_address = |_| Later::because("directory.user_url gives no valid URL for this id");
        let url = at(&self.0.settings.user_url, external_id).map_err(no_address)?;
        let answer = self.0.exchange(self.0.clients.get().get(url)).await?;
        match answer.status.as_u16() {
            404 | 410 => Ok(Seen::Gone),
            200..300 => self.person(external_id, &answer),
            _ => Err(answer.later()),
        }
    }

    fn person(&self, external_id: &str, answer: &Answer) -> Result<Seen, Later> {
        match self.0.single_entry(&answer.json()?) {
            Entry::User(user) if user.external_id != external_id => {
                Err(Later::because("the source answers with another user"))
            }
            Entry::User(user) if user.gone => Ok(Seen::Gone),
            Entry::User(mut user) => {
                // `If-Match` is compared with the ETag, so it is preferred to the version in the body.
                user.source_version = answer.etag.clone().or(user.source_version.take());
                Ok(Seen::There(user))
            }
            Entry::Bad { detail, .. } => Err(Later::because(format!("the source's record: {detail}"))),
            Entry::Department(_) => Err(Later::because("the source answers with a department")),
        }
    }

    async fn written(
        &self,
        external_id: &str,
        (version, present): (&str, &Values),
        changes: &Values,
    ) -> Result<Written, Later> {
        let no_address = |_| Later::because("directory.write_url gives no valid URL for this id");
        let url = at(&self.0.settings.write_url, external_id).map_err(no_address)?;
        let (media_type, body) = if self.0.is_scim() {
            ("application/scim+json", scim::patch(present, changes))
        } else {
            ("application/merge-patch+json", self.merge_patch(changes))
        };
        let request = self
            .0
            .clients
            .get()
            .patch(url)
            .header(IF_MATCH, version)
            .header(CONTENT_TYPE, media_type)
            .body(body.to_string());
        let answer = self.0.exchange(request).await?;
        Ok(match answer.status.as_u16() {
            // The answer may be partial. The record is read separately when it is needed.
            200..300 => Written::Done,
            412 => Written::Stale,
            404 | 410 => Written::Gone,
            // Missing access is temporary: the operators can grant it.
            401 | 408 | 425 | 429 | 500.. => return Err(answer.later()),
            status => Written::Refused(status),
        })
    }

    /// RFC 7396: unnamed attributes stay, null removes.
    fn merge_patch(&self, changes: &Values) -> Value {
        let mut patch = Value::Object(serde_json::Map::new());
        for (attribute, value) in changes.iter() {
            let mut at = &mut patch;
            for name in self.0.fields.path(attribute).unwrap_or_default() {
                if !at.is_object() {
                    *at = Value::Object(serde_json::Map::new());
                }
                at = &mut at[name];
            }
            *at = value.clone();
        }
        patch
    }
}
