//! Writing and verifying a sealed day, page by page, with what it adds up to.

use futures_util::future::try_join;
use std::time::{Duration, Instant};
use time::{Date, OffsetDateTime};

use super::pages::{self, Page};
use super::{Archiver, Progress, stop};
use crate::archive::{Archive, Document, Find, Ledger, Order, Parts};
use crate::error::Result;
use crate::sql;
use crate::store::Store;

/// What the move writes stands above everything written before it, and what a run writes above what
/// an earlier one wrote.
const FINAL: i64 = 1_000;
/// About how many ledger rows one page of the verification reads, and most documents of it: the page
/// after one that was heavier has half as many.
const VERIFY_ROWS: usize = 50_000;
const VERIFY_DOCUMENTS: usize = 400;
/// A step writes or verifies for about this long before its progress is kept and told.
const STEP_TIME: Duration = Duration::from_secs(5);

/// A day on its way, as far as it has come.
#[derive(Debug, Clone)]
pub struct Day {
    pub day: Date,
    pub run_id: i64,
    pub step: Step,
    pub from_ms_id: i64,
    pub below_ms_id: i64,
    pub written_ms_id: i64,
    pub messages: i64,
    pub documents: i64,
    pub ledger_rows: i64,
    /// The sum of the checksums of all documents written.
    pub checksum: u128,
    pub switched_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Sealed,
    Written,
    Verified,
    Switched,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Written => "written",
            Self::Verified => "verified",
            Self::Switched => "switched",
        }
    }

    fn parse(text: &str) -> Self {
        let all = [Self::Sealed, Self::Written, Self::Verified];
        all.into_iter().find(|step| step.as_str() == text).unwrap_or(Self::Switched)
    }
}

/// The days under way, oldest first.
pub async fn unfinished(store: &Store) -> Result<Vec<Day>> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("archiver/unfinished")).await?;
    let rows = client.query(&statement, &[]).await?;
    let day = |row: &tokio_postgres::Row| Day {
        day: row.get("day"),
        run_id: row.get("run_id"),
        step: Step::parse(row.get("step")),
        from_ms_id: row.get("from_ms_id"),
        below_ms_id: row.get("below_ms_id"),
        written_ms_id: row.get("written_ms_id"),
        messages: row.get("messages"),
        documents: row.get("documents"),
        ledger_rows: row.get("ledger_rows"),
        checksum: u128::from_be_bytes(row.get::<_, &[u8]>("checksum").try_into().unwrap_or_default()),
        switched_at: row.get("switched_at"),
    };
    Ok(rows.iter().map(day).collect())
}

impl Archiver {
    /// Writes further documents of a sealed day, reading the next page while one is written.
    pub(super) async fn write(&self, day: &Day, epoch: i64) -> Result<Progress> {
        let mut day = day.clone();
        let (started, mut written) = (Instant::now(), 0);
        let version = FINAL + day.run_id;
        let mut page = pages::read(&self.store, &day, day.written_ms_id, version).await?;
        while !page.is_empty() && started.elapsed() < STEP_TIME {
            let last = page.last_ms_id;
            let next = pages::read(&self.store, &day, last, version);
            let (next, ()) = try_join(next, self.archive.write(&page.documents)).await?;
            stop("written-some").await;
            day.add(&page);
            self.keep(&day, epoch).await?;
            written += page.ledger_rows;
            self.slow_down(started, written).await;
            page = next;
        }
        if page.is_empty() {
            stop("before-written").await;
            day.step = Step::Written;
            day.written_ms_id = day.below_ms_id - 1;
            self.keep(&day, epoch).await?;
            self.reached(day.day, "written");
            stop("written").await;
        }
        Ok(Progress::Working(format!("{}: {} messages are written", day.day, day.messages)))
    }

    /// Compares what the archive gives back with what was written, and both with what PostgreSQL has.
    /// A day that differs stays and is written again by the next run.
    pub(super) async fn verify(&self, day: &Day, epoch: i64) -> Result<Progress> {
        self.archive.refresh().await?;
        stop("refreshed").await;
        let (messages, ledger_rows) = pages::size(&self.store, day.from_ms_id, day.below_ms_id).await?;
        let found = self.add_up(day).await?;
        let same = (found.documents, found.ledger_rows, found.checksum)
            == (day.documents, day.ledger_rows, day.checksum);
        let whole = (messages, ledger_rows) == (day.messages, day.ledger_rows);
        if same && whole {
            let verified = Day { step: Step::Verified, ..day.clone() };
            self.keep(&verified, epoch).await?;
            self.reached(day.day, "verified");
            stop("verified").await;
            return Ok(Progress::Working(format!("{} is verified", day.day)));
        }
        let again = Day {
            step: Step::Sealed,
            written_ms_id: day.from_ms_id - 1,
            messages: 0,
            documents: 0,
            ledger_rows: 0,
            checksum: 0,
            ..day.clone()
        };
        self.keep(&again, epoch).await?;
        let why = format!(
            "{}: PostgreSQL has {messages} messages and {ledger_rows} ledger rows, {} and {} were written in {} \
             documents, the archive gives {} and {}{}",
            day.day,
            day.messages,
            day.ledger_rows,
            day.documents,
            found.documents,
            found.ledger_rows,
            if same || found.checksum == day.checksum { "" } else { "; their checksums differ" },
        );
        tracing::error!(day = %day.day, why, "the archive does not hold what was written: the day stays");
        metrics::counter!("impg_archive_verify_failures_total").increment(1);
        Ok(Progress::Ended("failed", why))
    }

    async fn add_up(&self, day: &Day) -> Result<Day> {
        let mut found = Day { messages: 0, documents: 0, ledger_rows: 0, checksum: 0, ..day.clone() };
        let mut find = Find {
            from: day.from_ms_id,
            below: day.below_ms_id,
            order: Order::Oldest,
            parts: Parts::All,
            ..Find::newest(VERIFY_DOCUMENTS / 8)
        };
        loop {
            let documents = self.archive.find(&find).await?;
            let Some(last) = documents.last() else {
                return Ok(found);
            };
            find.after = Some((last.ms_id, last.part));
            let rows: usize = documents.iter().filter_map(|d| d.ledger.as_ref()).map(Ledger::len).sum();
            find.limit = match rows {
                heavy if heavy > VERIFY_ROWS => (find.limit / 2).max(1),
                light if light < VERIFY_ROWS / 2 => (find.limit * 2).min(VERIFY_DOCUMENTS),
                _ => find.limit,
            };
            documents.iter().for_each(|document| found.add_one(document));
            self.lease.take(self.store.now().await?).await?;
        }
    }

    async fn keep(&self, day: &Day, epoch: i64) -> Result<()> {
        self.lease.take(self.store.now().await?).await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        let statement = tx.prepare_cached(sql!("archiver/progress")).await?;
        let checksum = day.checksum.to_be_bytes();
        let Day { day: date, step, written_ms_id, messages, documents, ledger_rows, .. } = day;
        tx.execute(
            &statement,
            &[date, &step.as_str(), written_ms_id, messages, documents, ledger_rows, &checksum.as_slice()],
        )
        .await?;
        Ok(tx.commit().await?)
    }

    /// Not faster than set: so many rows have been written since.
    async fn slow_down(&self, since: Instant, rows: i64) {
        if self.rows_per_second > 0 {
            let due = Duration::from_secs_f64(rows as f64 / self.rows_per_second as f64);
            tokio::time::sleep(due.saturating_sub(since.elapsed())).await;
        }
    }
}

impl Day {
    fn add(&mut self, page: &Page) {
        self.messages += page.messages;
        self.written_ms_id = page.last_ms_id;
        page.documents.iter().for_each(|document| self.add_one(document));
    }

    fn add_one(&mut self, document: &Document) {
        self.documents += 1;
        self.ledger_rows += document.ledger.as_ref().map_or(0, |ledger| ledger.len() as i64);
        self.checksum = self.checksum.wrapping_add(document.checksum());
    }
}
