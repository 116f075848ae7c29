//! The archive: all messages are searched here, and messages older than a month are stored only here.
//!
//! There is one document for each message, or several if the message has very many receivers. It is written
//! soon after the send, and again with the final push statuses when its day moves. Both archives, [`elastic`]
//! and [`embedded`], give the same documents in the same order for the same [`Find`].

pub mod document;
pub mod elastic;
pub mod embedded;
pub mod index;
pub mod mover;
pub mod reconcile;
mod shedding;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use crate::base::analyzer::Phrase;
use crate::base::config::{ArchiveTarget, Config};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
pub use document::{Document, Group, Ledger, Recalled};
pub use shedding::Shedding;

/// Most receivers of one document. A message with more has several parts.
pub const RECEIVERS_MAX: usize = 10_000;

/// The error of a call that needs an archive where none is set.
pub fn not_configured() -> Error {
    Error::unavailable("the archive is not configured: set archive_url")
}

/// Stores and finds documents. An `Unavailable` error is temporary; other errors repeat.
pub trait Archive: Send + Sync {
    /// The id of this archive, created at its first use. The database remembers it, so that another archive
    /// is not taken for it.
    fn identity(&self) -> BoxFuture<'_, Result<String>>;

    /// Stores documents durably under `(ms_id, part)`. A document is ignored if the stored one has the same
    /// or a higher version: it is late or repeated. After an error any of them may be stored, and all may be
    /// written again.
    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>>;

    /// Makes everything written so far visible to `find`.
    fn refresh(&self) -> BoxFuture<'_, Result<()>>;

    /// The matching documents, in order, at most `find.limit`.
    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>>;
}

/// The archive of the settings, or `None`. An unreachable server does not stop the start.
pub async fn open(config: &Config) -> Result<Option<Arc<dyn Archive>>> {
    Ok(match config.archive.target() {
        ArchiveTarget::Nowhere => None,
        ArchiveTarget::Server(_) => Some(Arc::new(elastic::Elastic::new(config)?)),
        ArchiveTarget::Folder(folder) => {
            let open = tokio::task::spawn_blocking(move || embedded::Embedded::open(&folder));
            Some(Arc::new(open.await.map_err(Error::internal)??))
        }
        ArchiveTarget::Unknown => {
            return Err(Error::new(
                Kind::Internal,
                "archive_url is invalid: set it to an http(s) URL or embedded:<folder>",
            ));
        }
    })
}

/// The conditions of a search. All of them must match.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// In one of these spans; `None`: in any channel.
    pub spans: Option<Vec<Span>>,
    /// All of these must occur.
    pub words: Vec<Phrase>,
    pub sender: Option<String>,
    pub not_sender: Option<String>,
    pub ms_type: Option<String>,
    /// With at least one mark of each of these lists; see [`Document::marks`].
    pub marks: Vec<Vec<String>>,
    /// ms_id range: from this one, and below `below`.
    pub from: MsId,
    pub below: MsId,
    /// A receiver, and the ledger groups to find them in.
    pub receiver: Option<(String, &'static [&'static str])>,
    pub order: Order,
    pub parts: Parts,
    /// Whether documents include their ledgers, which are long in large groups.
    pub ledger: bool,
    /// Whether documents that are set aside are found too.
    pub set_aside: bool,
    /// Only documents after this `(ms_id, part)` in the order.
    pub after: Option<(MsId, u32)>,
    pub limit: usize,
}

/// A range of a channel's messages, both `seq` included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub channel_id: ChannelId,
    pub from_seq: i64,
    pub to_seq: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Newest,
    Oldest,
}

/// Whether to include the further parts of messages with very many receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    First,
    All,
}

impl Find {
    /// The first part of every message, newest first.
    pub fn newest(limit: usize) -> Self {
        Self {
            spans: None,
            words: Vec::new(),
            sender: None,
            not_sender: None,
            ms_type: None,
            marks: Vec::new(),
            from: MsId(0),
            below: MsId::MAX,
            receiver: None,
            order: Order::Newest,
            parts: Parts::First,
            ledger: true,
            set_aside: false,
            after: None,
            limit,
        }
    }

    /// All parts of one message.
    pub fn message(ms_id: MsId) -> Self {
        Self {
            from: ms_id,
            below: ms_id.next(),
            parts: Parts::All,
            order: Order::Oldest,
            ..Self::newest(usize::MAX)
        }
    }
}
