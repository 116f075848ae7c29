//! From the horizon on: the archive against the messages of PostgreSQL.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::Reconciler;
use crate::archive::document::SET_ASIDE;
use crate::archive::index::{self, FINAL};
use crate::archive::mover::stop;
use crate::archive::{Archive, Document, Find, Order, Parts};
use crate::base::error::{Error, Kind, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::Statements;
use crate::sql;

/// Messages that are compared at a time, and documents of one read.
const WINDOW: i32 = 2_000;
const PAGE: usize = 1_000;
/// Most commits in the index queue. They are held in memory.
const QUEUED_MAX: i64 = 100_000;
/// Most messages of one list of the report. All are counted.
const LISTED_MAX: usize = 1_000;

/// What the archive has of messages that are hot.
#[derive(Debug, Default, Serialize)]
pub struct HotFound {
    /// Documents by day that the archive has as cold ones, and PostgreSQL as hot ones. PostgreSQL counts, and the days move
    /// again.
    pub cold_before: BTreeMap<String, i64>,
    /// Messages that the archive lacks or has otherwise. They are indexed again.
    pub index_again: usize,
    /// Documents of messages that PostgreSQL does not know. They are set aside.
    pub unknown: Listing,
    /// Documents that an earlier run has set aside.
    pub set_aside: Listing,
    /// Sealed messages that the archive lacks. The move writes them.
    #[serde(skip)]
    pub(super) unwritten: Vec<MsId>,
    /// Sealed messages that the archive has as cold ones.
    #[serde(skip)]
    pub(super) written: Vec<MsId>,
    #[serde(skip)]
    has_higher: bool,
    #[serde(skip)]
    pub(super) highest_version: i64,
}

impl HotFound {
    pub(super) fn differs(&self) -> bool {
        self.index_again > 0 || self.unknown.documents > 0 || self.needs_higher_versions()
    }

    /// Whether the archive has documents that later ones must replace, and could not.
    pub(super) fn needs_higher_versions(&self) -> bool {
        self.has_higher || !self.cold_before.is_empty()
    }
}

/// Documents, counted, and the first of them listed without their contents.
#[derive(Debug, Default, Serialize)]
pub struct Listing {
    pub documents: usize,
    pub first: Vec<Listed>,
}

/// A document of a list.
#[derive(Debug, Serialize)]
pub struct Listed {
    pub ms_id: MsId,
    pub channel_id: ChannelId,
    pub seq: i64,
    pub sender: String,
    #[serde(with = "time::serde::rfc3339")]
    pub server_time: time::OffsetDateTime,
}

impl Listing {
    fn add(&mut self, documents: &[Document]) {
        self.documents += documents.len();
        let room = LISTED_MAX.saturating_sub(self.first.len());
        self.first.extend(documents.iter().take(room).map(|document| Listed {
            ms_id: document.ms_id,
            channel_id: document.channel_id,
            seq: document.seq,
            sender: document.sender.clone(),
            server_time: document.server_time,
        }));
    }
}

/// A pass over all hot messages.
struct Pass {
    /// Messages that wait to be indexed anyway: these, and all from this id on.
    queued: HashSet<MsId>,
    walk_from: MsId,
    /// Messages below are written again by the move.
    sealed: MsId,
    version_base: i64,
    found: HotFound,
}

impl Pass {
    fn is_queued(&self, ms_id: MsId) -> bool {
        ms_id >= self.walk_from || self.queued.contains(&ms_id)
    }

    /// Whether the archive has a message otherwise than PostgreSQL.
    fn is_other(&self, stored: &Document, hot: &Document) -> bool {
        stored.ms_id >= self.sealed && (stored.set_aside || stored.checksum() != hot.checksum())
    }

    fn note(&mut self, stored: &Document, is_known: bool) {
        self.found.highest_version = self.found.highest_version.max(stored.version);
        let is_final = stored.part == 0 && stored.version - self.version_base >= FINAL;
        if is_known && is_final {
            match stored.ms_id < self.sealed {
                true => self.found.written.push(stored.ms_id),
                false => {
                    *self.found.cold_before.entry(stored.server_time.date().to_string()).or_default() += 1
                }
            }
        }
    }
}

impl Reconciler {
    /// Compares everything from an id on.
    pub(super) async fn compare_hot(&self, from: MsId) -> Result<HotFound> {
        let mut pass = self.begin().await?;
        pass.found.set_aside = self.set_aside_before().await?;
        let mut above = from.previous();
        loop {
            self.extend().await?;
            let hot = index::hot(&self.store, above, WINDOW).await?;
            let last = hot.last().filter(|_| hot.len() == WINDOW as usize).map(|(ms_id, _)| *ms_id);
            self.compare_window(&mut pass, (above, last.unwrap_or(MsId::MAX)), hot).await?;
            match last {
                Some(last) => above = last,
                None => return Ok(pass.found),
            }
        }
    }

    async fn begin(&self) -> Result<Pass> {
        if index::backlog(&self.store).await?.commits > QUEUED_MAX {
            let why =
                "the index is far behind: let the service run until `impg_index_backlog_commits` is small";
            return Err(Error::new(Kind::Conflict, why));
        }
        let queued = self.store.all(sql!("archive/reconcile/queued"), &[]).await?;
        let state = index::state(&self.store).await?;
        Ok(Pass {
            queued: queued.iter().map(|row| row.get("ms_id")).collect(),
            walk_from: state.as_ref().and_then(|state| state.walk_ms_id).unwrap_or(MsId::MAX),
            sealed: self.store.horizon().await?.sealed,
            version_base: state.map_or(0, |state| state.version_base),
            found: HotFound::default(),
        })
    }

    /// Compares the messages above one id, up to another. PostgreSQL was read first: no document is newer than that.
    async fn compare_window(
        &self,
        pass: &mut Pass,
        (above, upto): (MsId, MsId),
        hot: Vec<(MsId, Option<Document>)>,
    ) -> Result<()> {
        let hot: HashMap<MsId, Option<Document>> = hot.into_iter().collect();
        let (mut seen, mut again) = (HashSet::new(), Vec::new());
        let mut find = Find {
            from: above.next(),
            below: upto.next(),
            order: Order::Oldest,
            parts: Parts::All,
            ledger: false,
            set_aside: true,
            ..Find::newest(PAGE)
        };
        loop {
            let (documents, ended) = self.next_page(&mut find).await?;
            for stored in documents.iter().filter(|stored| stored.part == 0) {
                seen.insert(stored.ms_id);
                let hot = hot.get(&stored.ms_id).and_then(Option::as_ref);
                if let Some(hot) = hot.filter(|hot| pass.is_other(stored, hot)) {
                    // As it is, the archive would not take it.
                    pass.found.has_higher |= stored.version >= hot.version + pass.version_base;
                    again.extend((!pass.is_queued(stored.ms_id)).then_some(stored.ms_id));
                }
            }
            documents.iter().for_each(|stored| pass.note(stored, hot.contains_key(&stored.ms_id)));
            let unknown = documents.into_iter().filter(|d| !d.set_aside && !hot.contains_key(&d.ms_id));
            self.set_aside(pass, unknown.collect()).await?;
            if ended {
                break;
            }
        }
        let unseen = hot.keys().copied().filter(|ms_id| !seen.contains(ms_id));
        let (open, sealed): (Vec<MsId>, Vec<MsId>) = unseen.partition(|ms_id| *ms_id >= pass.sealed);
        pass.found.unwritten.extend(sealed);
        // One that cannot be read is never indexed.
        let readable = |ms_id: &MsId| hot[ms_id].is_some() && !pass.is_queued(*ms_id);
        again.extend(open.into_iter().filter(readable));
        pass.found.index_again += again.len();
        if self.applies && !again.is_empty() {
            again.sort_unstable();
            let now = self.store.now().await?;
            self.store.run(sql!("archive/reconcile/queue"), &[&again, &now]).await?;
        }
        Ok(())
    }

    /// Sets documents aside. They keep all they have.
    async fn set_aside(&self, pass: &mut Pass, mut unknown: Vec<Document>) -> Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        let ms_ids: HashSet<MsId> = unknown.iter().map(|document| document.ms_id).collect();
        let ms_ids = Vec::from_iter(ms_ids);
        // Committed since PostgreSQL was read.
        let known = self.store.all(sql!("archive/reconcile/known"), &[&ms_ids]).await?;
        let known: HashSet<MsId> = known.iter().map(|row| row.get("ms_id")).collect();
        unknown.retain(|document| !known.contains(&document.ms_id));
        pass.found.unknown.add(&unknown);
        if !self.applies {
            return Ok(());
        }
        unknown.dedup_by_key(|document| document.ms_id);
        for Document { ms_id, .. } in unknown {
            self.extend().await?;
            // With the ledger, and with parts that another page has.
            let mut whole = self.archive.find(&Find::message(ms_id)).await?;
            for part in &mut whole {
                (part.set_aside, part.version) = (true, part.version + 1);
            }
            self.archive.write(&whole).await?;
            stop("set-aside-one").await;
        }
        Ok(())
    }

    /// What earlier runs have set aside, also below the horizon.
    async fn set_aside_before(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut find = Find {
            marks: vec![vec![SET_ASIDE.to_owned()]],
            order: Order::Oldest,
            parts: Parts::All,
            ledger: false,
            set_aside: true,
            ..Find::newest(PAGE)
        };
        loop {
            let (documents, ended) = self.next_page(&mut find).await?;
            listing.add(&documents);
            if ended {
                return Ok(listing);
            }
        }
    }

    /// The next documents, and whether they are the last ones.
    async fn next_page(&self, find: &mut Find) -> Result<(Vec<Document>, bool)> {
        self.extend().await?;
        let documents = self.archive.find(find).await?;
        find.after = documents.last().map(|last| (last.ms_id, last.part));
        let ended = documents.len() < PAGE;
        Ok((documents, ended))
    }
}
