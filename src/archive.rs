//! Cold: where records live once they are over a month old, and where everything is searched.
//!
//! One document a message (a message with very many receivers has several), written soon after it
//! was sent and finally, with every receiver's last status, when its day moves. Two archives give
//! the same documents for the same [`Find`], in the same order: [`elastic`] and [`embedded`].

pub mod document;
pub mod elastic;
pub mod embedded;
pub mod text;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::config::{ArchivePlace, Config};
use crate::error::{Error, Kind, Result};
pub use document::{Document, Group, Ledger, Recalled};
pub use text::Phrase;

/// Most receivers of one document; a message with more has further parts.
pub const RECEIVERS_MAX: usize = 10_000;

/// What keeps and finds documents. `Unavailable` errors pass; others will come again.
pub trait Archive: Send + Sync {
    /// The id this archive was given when it was first used, made now if this is the first time.
    /// A database remembers its archive by it, so that nobody takes another one for it.
    fn identity(&self) -> BoxFuture<'_, Result<String>>;

    /// Stores documents under `(ms_id, part)`, durably. One whose version is not above the stored
    /// one changes nothing and is no error: it came late or again. After an error any of them may
    /// be stored, and all may be written again.
    fn write<'a>(&'a self, documents: &'a [Document]) -> BoxFuture<'a, Result<()>>;

    /// Makes everything written before visible to `find`.
    fn refresh(&self) -> BoxFuture<'_, Result<()>>;

    /// The documents that fit, in order, at most `find.limit`.
    fn find<'a>(&'a self, find: &'a Find) -> BoxFuture<'a, Result<Vec<Document>>>;
}

/// The archive of the settings, or `None` where there is none. A server that is away stops no start.
pub async fn open(config: &Config) -> Result<Option<Arc<dyn Archive>>> {
    Ok(match config.archive_place() {
        ArchivePlace::Nowhere => None,
        ArchivePlace::Server(_) => Some(Arc::new(elastic::Elastic::new(config)?)),
        ArchivePlace::Folder(folder) => {
            let open = tokio::task::spawn_blocking(move || embedded::Embedded::open(&folder));
            Some(Arc::new(open.await.map_err(Error::internal)??))
        }
        ArchivePlace::Unknown => return Err(Error::new(Kind::Internal, "archive_url leads nowhere")),
    })
}

/// What is looked for. Everything that is given must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// In one of these; none: in any channel.
    pub spans: Option<Vec<Span>>,
    /// Every one of these occurs.
    pub words: Vec<Phrase>,
    pub sender: Option<String>,
    pub not_sender: Option<String>,
    pub ms_type: Option<String>,
    /// From this ms_id on, and below that one.
    pub from: i64,
    pub below: i64,
    /// A receiver, and which of these groups of the ledger they are in.
    pub receiver: Option<(String, &'static [&'static str])>,
    pub order: Order,
    pub parts: Parts,
    /// Whether documents come with their ledgers: those of large groups are long.
    pub ledger: bool,
    /// Beyond this `(ms_id, part)` in the order.
    pub after: Option<(i64, u32)>,
    pub limit: usize,
}

/// A channel's messages from one seq to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub channel_id: i64,
    pub from_seq: i64,
    pub to_seq: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Newest,
    Oldest,
}

/// Whether the further parts of messages with very many receivers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    First,
    All,
}

impl Find {
    /// Every first part, newest first.
    pub fn newest(limit: usize) -> Self {
        Self {
            spans: None,
            words: Vec::new(),
            sender: None,
            not_sender: None,
            ms_type: None,
            from: 0,
            below: i64::MAX,
            receiver: None,
            order: Order::Newest,
            parts: Parts::First,
            ledger: true,
            after: None,
            limit,
        }
    }

    /// Every part of one message.
    pub fn message(ms_id: i64) -> Self {
        Self {
            from: ms_id,
            below: ms_id.saturating_add(1),
            parts: Parts::All,
            order: Order::Oldest,
            ..Self::newest(usize::MAX)
        }
    }
}
