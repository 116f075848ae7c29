//! Writes and verifies a sealed day, page by page, with checksums.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, try_join3};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use time::{Date, OffsetDateTime};
use tokio_postgres::Row;
use tokio_util::task::AbortOnDropHandle;

use super::pages::{self, Page};
use super::{Archiver, Outcome, Progress, stop};
use crate::archive::index::{self, Bound};
use crate::archive::{Archive, Document, Find, Order, Parts};
use crate::base::error::{Error, Result};
use crate::base::lease::Lease;
use crate::base::named::named;
use crate::base::number::MsId;
use crate::base::store::{Statements, Store};
use crate::base::throttle::pace;
use crate::sql;

/// Target ledger rows, and most documents, of one verified page. After a heavier page, the next has half as
/// many documents.
const VERIFY_ROWS: i64 = 50_000;
const VERIFY_DOCUMENTS: usize = 1_000;
const VERIFY_DOCUMENTS_FIRST: usize = 50;
/// Pages written at the same time.
const WRITES: usize = 2;
/// How often the lease is extended while a day is verified.
const PROLONG: Duration = Duration::from_millis(200);
/// A step writes or verifies for about this long before it records its progress.
const STEP_TIME: Duration = Duration::from_secs(5);

/// A day that is moving, and how far it is.
#[derive(Debug, Clone)]
pub struct Day {
    pub day: Date,
    pub run_id: i64,
    pub step: Step,
    pub from_ms_id: MsId,
    pub below_ms_id: MsId,
    pub written_ms_id: MsId,
    pub messages: i64,
    /// The sum of all documents written.
    pub sum: Sum,
    pub switched_at: Option<OffsetDateTime>,
    /// What the archive is known to have lost.
    pub lost_documents: i64,
    pub lost_ledger_rows: i64,
}

/// The sum of some documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub documents: i64,
    pub ledger_rows: i64,
    /// The sum of their checksums.
    pub checksum: u128,
}

named! {
    /// How far a day has come.
    pub enum Step ("step of a moving day") {
        Sealed = "sealed",
        Written = "written",
        Verified = "verified",
        Switched = "switched",
        Dropped = "dropped",
    }
}

/// The days that are moving, oldest first. With `dropped`, also those that have moved.
pub async fn days(store: &Store, dropped: bool) -> Result<Vec<Day>> {
    let rows = store.all(sql!("archive/mover/days"), &[&dropped]).await?;
    rows.iter().map(Day::of).collect()
}

impl Day {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            day: row.get("day"),
            run_id: row.get("run_id"),
            step: Step::from_db(row.get("step"))?,
            from_ms_id: row.get("from_ms_id"),
            below_ms_id: row.get("below_ms_id"),
            written_ms_id: row.get("written_ms_id"),
            messages: row.get("messages"),
            sum: Sum {
                documents: row.get("documents"),
                ledger_rows: row.get("ledger_rows"),
                checksum: u128::from_be_bytes(row.get::<_, &[u8]>("checksum").try_into().unwrap_or_default()),
            },
            switched_at: row.get("switched_at"),
            lost_documents: row.get("lost_documents"),
            lost_ledger_rows: row.get("lost_ledger_rows"),
        })
    }
}

impl Archiver {
    /// Writes more documents of a sealed day. Reading, building and writing run in parallel; progress is
    /// recorded in order.
    pub(super) async fn write(&self, day: &Day, epoch: i64) -> Result<Progress> {
        let mut day = day.clone();
        let (started, mut rows, mut ended) = (Instant::now(), 0, false);
        let mut read = started;
        // A later run writes versions above those of an earlier one.
        let (below, version) = (day.below_ms_id, index::final_version(&self.store, day.run_id).await?);
        let (store, archive) = (self.store.clone(), self.archive.clone());
        let pages = stream::try_unfold(Some(day.written_ms_id), move |above: Option<MsId>| {
            let (store, above) = (store.clone(), above.filter(|_| started.elapsed() < STEP_TIME));
            let read = async move {
                let Some(above) = above else {
                    return Ok(None);
                };
                let page = spawn(async move { pages::read(&store, above, below, version).await }).await?;
                let next = (!page.is_empty()).then_some(page.last_ms_id);
                Ok(Some((page, next)))
            };
            read.boxed()
        });
        let written = pages.map_ok(move |page| write_page(archive.clone(), page));
        let mut written = written.try_buffered(WRITES).boxed();
        while let Some(page) = written.try_next().await? {
            if page.is_empty() {
                ended = true;
                break;
            }
            stop("written-some").await;
            day.add(&page);
            self.save(&day, epoch).await?;
            rows += page.sum.ledger_rows;
            pace(started, rows.unsigned_abs(), self.rows_per_second).await;
            self.store.throttle().rest("archive", read).await;
            read = Instant::now();
        }
        if ended {
            stop("before-written").await;
            day.step = Step::Written;
            day.written_ms_id = day.below_ms_id.previous();
            self.save(&day, epoch).await?;
            self.reached(day.day, "written");
            stop("written").await;
        }
        Ok(Progress::Working(format!("{}: {} messages are written", day.day, day.messages)))
    }

    /// Compares the archive with what was written, and both with PostgreSQL. A day that differs stays, and
    /// the next run writes it again.
    pub(super) async fn verify(&self, day: &Day, epoch: i64) -> Result<Progress> {
        self.archive.refresh().await?;
        stop("refreshed").await;
        let (from, below) = (day.from_ms_id, day.below_ms_id);
        let middle = MsId(from.0 + (below.0 - from.0) / 2);
        let size = pages::size(&self.store, from, below);
        let leases = [&self.lease];
        let add_up = |from, below| add_up(&self.store, &self.archive, &leases, (from, below));
        let (lower, upper) = (add_up(from, middle), add_up(middle, below));
        let ((messages, ledger_rows), lower, upper) = try_join3(size, lower, upper).await?;
        let found = lower.plus(upper);
        let same = found == day.sum;
        let whole = (messages, ledger_rows) == (day.messages, day.sum.ledger_rows);
        if same && whole {
            let verified = Day { step: Step::Verified, ..day.clone() };
            self.save(&verified, epoch).await?;
            self.reached(day.day, "verified");
            stop("verified").await;
            return Ok(Progress::Working(format!("{} is verified", day.day)));
        }
        let again = Day {
            step: Step::Sealed,
            written_ms_id: day.from_ms_id.previous(),
            messages: 0,
            sum: Sum::default(),
            ..day.clone()
        };
        self.save(&again, epoch).await?;
        let why = format!(
            "{}: PostgreSQL has {messages} messages and {ledger_rows} ledger rows, {} and {} were written in {} \
             documents, the archive gives {} and {}{}",
            day.day,
            day.messages,
            day.sum.ledger_rows,
            day.sum.documents,
            found.documents,
            found.ledger_rows,
            if same || found.checksum == day.sum.checksum { "" } else { "; their checksums differ" },
        );
        tracing::error!(day = %day.day, why, "the archive differs from what was written: the day stays in PostgreSQL");
        metrics::counter!("impg_archive_verify_failures_total").increment(1);
        Ok(Progress::Ended(Outcome::Failed, why))
    }

    async fn save(&self, day: &Day, epoch: i64) -> Result<()> {
        self.lease.take(self.store.now().await?).await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        let Day { day: date, step, written_ms_id, messages, sum, .. } = day;
        let Sum { documents, ledger_rows, checksum } = sum;
        let checksum = checksum.to_be_bytes();
        tx.run(
            sql!("archive/mover/progress"),
            &[date, &step.as_str(), written_ms_id, messages, documents, ledger_rows, &checksum.as_slice()],
        )
        .await?;
        Ok(tx.commit().await?)
    }
}

impl Day {
    fn add(&mut self, page: &Page) {
        self.messages += page.messages;
        self.written_ms_id = page.last_ms_id;
        self.sum = self.sum.plus(page.sum);
    }
}

impl Sum {
    pub fn of(documents: &[Document]) -> Self {
        documents.iter().fold(Self::default(), |sum, document| {
            let ledger_rows = document.ledger.as_ref().map_or(0, |ledger| ledger.len() as i64);
            sum.plus(Self { documents: 1, ledger_rows, checksum: document.checksum() })
        })
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            documents: self.documents + other.documents,
            ledger_rows: self.ledger_rows + other.ledger_rows,
            checksum: self.checksum.wrapping_add(other.checksum),
        }
    }
}

/// The sum of what the archive returns for a range. The leases are extended meanwhile.
pub(in crate::archive) async fn add_up(
    store: &Store,
    archive: &Arc<Bound>,
    leases: &[&Lease],
    (from, below): (MsId, MsId),
) -> Result<Sum> {
    let mut find =
        Find { from, below, order: Order::Oldest, parts: Parts::All, ..Find::newest(VERIFY_DOCUMENTS_FIRST) };
    let (mut found, mut prolonged) = (Sum::default(), Instant::now());
    loop {
        let (archive, asked, began) = (archive.clone(), find.clone(), Instant::now());
        let some = spawn(async move {
            let documents = archive.find(&asked).await?;
            Ok((Sum::of(&documents), documents.last().map(|last| (last.ms_id, last.part))))
        });
        let (sum, last) = some.await?;
        if last.is_none() {
            return Ok(found);
        }
        (found, find.after) = (found.plus(sum), last);
        find.limit = match sum.ledger_rows {
            heavy if heavy > VERIFY_ROWS => (find.limit / 2).max(1),
            light if light < VERIFY_ROWS / 2 => (find.limit * 2).min(VERIFY_DOCUMENTS),
            _ => find.limit,
        };
        store.throttle().rest("archive", began).await;
        if prolonged.elapsed() > PROLONG {
            for lease in leases {
                lease.take(store.now().await?).await?;
            }
            prolonged = Instant::now();
        }
    }
}

fn write_page(archive: Arc<Bound>, page: Page) -> BoxFuture<'static, Result<Page>> {
    let write = async move {
        archive.write(&page.documents).await?;
        Ok(page)
    };
    spawn(write).boxed()
}

/// Runs work in a task of its own, in parallel with the move. It ends when its caller stops waiting.
async fn spawn<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    AbortOnDropHandle::new(tokio::spawn(work)).await.map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn a_day_in_an_unknown_step_is_not_taken_for_a_switched_one() {
        assert_eq!(Step::from_db("switched").unwrap(), Step::Switched);
        assert!(Step::from_db("merged").is_err());
    }
}
