//! What Elasticsearch answers, and what it means.

use std::fmt::Write;

use elasticsearch::http::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::archive::Document;
use crate::base::error::{Error, Kind, Result};

/// The only document of the identity index.
#[derive(Serialize, Deserialize)]
pub struct Identity {
    pub uuid: String,
    #[serde(default)]
    pub analysis: u32,
}

/// A document that was found.
#[derive(Deserialize)]
pub struct Hit<T> {
    #[serde(rename = "_source")]
    pub source: T,
}

/// The answer to a search.
#[derive(Deserialize)]
pub struct Page {
    pub timed_out: bool,
    #[serde(rename = "_shards")]
    pub shards: Shards,
    #[serde(default)]
    pub hits: Hits,
}

#[derive(Default, Deserialize)]
pub struct Hits {
    #[serde(default)]
    pub hits: Vec<Hit<Document>>,
}

/// The answer to a refresh.
#[derive(Deserialize)]
pub struct Refreshed {
    #[serde(rename = "_shards")]
    pub shards: Shards,
}

/// How many parts of the indices did not answer.
#[derive(Deserialize)]
pub struct Shards {
    pub failed: u32,
}

impl Shards {
    /// Refuses an answer to which a part is missing.
    pub fn whole(&self) -> Result<()> {
        match self.failed {
            0 => Ok(()),
            _ => Err(Error::unavailable("a part of the archive is away")),
        }
    }
}

/// The answer to a bulk request, one item a document.
#[derive(Deserialize)]
pub struct Bulk {
    pub items: Vec<BulkItem>,
}

#[derive(Deserialize)]
pub struct BulkItem {
    pub index: ItemResult,
}

/// What became of one document.
#[derive(Deserialize)]
pub struct ItemResult {
    pub status: u16,
    pub error: Option<Reason>,
}

/// Only the error type: the reason may quote contents.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    #[serde(rename = "type")]
    pub kind: String,
    root_cause: Vec<Reason>,
}

#[derive(Deserialize)]
pub struct Refused {
    pub error: Reason,
}

/// The result of an answered request.
pub enum Answer<T> {
    Given(T),
    Refused { status: u16, reason: String },
}

impl<T> Answer<T> {
    /// The value, or the refusal as an error.
    pub fn given(self) -> Result<T> {
        match self {
            Self::Given(value) => Ok(value),
            refused => Err(refused.into_error()),
        }
    }

    pub fn into_error(self) -> Error {
        match self {
            Self::Given(_) => refuse("the archive answered success to a request that should fail"),
            Self::Refused { status, reason } => refusal(status, &reason),
        }
    }
}

/// Reads an answer. An error says that there was none.
pub async fn answer<T: DeserializeOwned>(
    sent: std::result::Result<Response, elasticsearch::Error>,
) -> Result<Answer<T>> {
    let response = sent.map_err(|e| away(&e))?;
    let status = response.status_code().as_u16();
    let bytes = response.bytes().await.map_err(|e| away(&e))?;
    if (200..300).contains(&status) {
        // serde's message may quote contents.
        return serde_json::from_slice(&bytes).map(Answer::Given).map_err(|e| {
            Error::internal(format!("the archive's answer has an unexpected form: {:?}", e.classify()))
        });
    }
    let reason = serde_json::from_slice::<Refused>(&bytes).map(|refused| refused.error).unwrap_or_default();
    let root = reason.root_cause.into_iter().next().map(|root| root.kind).filter(|kind| !kind.is_empty());
    Ok(Answer::Refused { status, reason: root.unwrap_or(reason.kind) })
}

/// No answer: refused, cut off, unknown host, untrusted or too late. Repair is on the server's side.
pub fn away(e: &elasticsearch::Error) -> Error {
    let mut cause = e.to_string();
    let mut deeper = std::error::Error::source(e);
    while let Some(source) = deeper {
        let text = source.to_string();
        if !cause.ends_with(&text) {
            let _ = write!(cause, ": {text}");
        }
        deeper = source.source();
    }
    Error::unavailable("the archive is away").because(cause)
}

/// An error answer: temporary, or caused by our request.
pub fn refusal(status: u16, reason: &str) -> Error {
    let cause = format!("Elasticsearch answered {status} {reason}");
    let detail = match (status, reason) {
        // Elasticsearch makes indices read-only when a disk is full.
        (_, "cluster_block_exception") => "the archive is read-only: check its free disk space",
        (401 | 403, _) => "the archive refuses our credentials",
        (408 | 429 | 500.., _) => "the archive is away",
        _ => return Error::internal(cause),
    };
    Error::unavailable(detail).because(cause)
}

/// An error that only a change of settings or code ends.
pub fn refuse(why: &'static str) -> Error {
    Error::new(Kind::Internal, why)
}
