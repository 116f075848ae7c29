//! A listing under way: its records are checked and staged page by page. A user missing at its end has left
//! only if the source confirms it when asked for that user. Otherwise the user must be missing in two runs in
//! a row.

use std::collections::HashSet;

use deadpool_postgres::Transaction;

use super::repository::{self, Mode, Noted, Open};
use crate::base::error::Result;
use crate::base::lease::Lease;
use crate::base::store::{REPEATABLE, Statements, Store};
use crate::sql;
use crate::sync::record::{DepartmentRecord, UserRecord};
use crate::sync::source::{Entry, EntryKind, Failure, ListingEnd, Page, Pull, Source};
use crate::sync::stage::{self, StagePosition};

/// The answer to a page request; none at the end.
type Answer = std::result::Result<Option<Page>, Failure>;

pub struct Pulling {
    pull: Box<dyn Pull>,
    /// The next page, requested while the current one is staged.
    ahead: Option<Answer>,
    staging: Staging,
}

/// What staging a page needs.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    pub store: &'a Store,
    pub lease: &'a Lease,
    pub source: &'a dyn Source,
    /// Most missing records that are read one by one.
    pub alone_max: usize,
}

/// The progress of the staging.
struct Staging {
    run_id: i64,
    epoch: i64,
    is_full: bool,
    is_dry: bool,
    rows: i64,
    users: Seen,
    departments: Seen,
    /// Why missing users are not taken to have left.
    remarks: Vec<String>,
}

/// The entries of one kind so far.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    /// Number of repeated entries: the listing shifted while it was read, so entries may be missing.
    twice: usize,
    /// Number of entries without a readable id.
    nameless: usize,
}

impl Pulling {
    pub fn new(run: &Open, epoch: i64, pull: Box<dyn Pull>) -> Self {
        let staging = Staging {
            run_id: run.run_id,
            epoch,
            is_full: run.mode == Mode::Full,
            is_dry: run.dry_run,
            rows: 0,
            users: Seen::default(),
            departments: Seen::default(),
            remarks: Vec::new(),
        };
        Self { pull, ahead: None, staging }
    }

    /// Whether it belongs to this run, without another runner in between.
    pub fn is_of(&self, run_id: i64, epoch: i64) -> bool {
        (self.staging.run_id, self.staging.epoch) == (run_id, epoch)
    }

    pub async fn page(&mut self) -> Answer {
        match self.ahead.take() {
            Some(page) => page,
            None => self.pull.page().await,
        }
    }

    /// Stages a page while the next one is requested. At the end of a listing, missing records are read
    /// first: members of a skipped Group still work there.
    pub async fn stage(&mut self, tools: Tools<'_>, page: Page) -> Result<()> {
        let Some(ended) = page.ended else {
            let (staged, ahead) = tokio::join!(self.staging.stage(tools, page.entries), self.pull.page());
            self.ahead = Some(ahead);
            return staged;
        };
        self.staging.stage(tools, page.entries).await?;
        let what = ended.what;
        if let Some(unchanged) = ended.unchanged.clone().or(self.staging.is_full.then(Vec::new)) {
            let missing = self.staging.missing(tools, ended, unchanged).await?;
            self.pull.missing(what, missing);
        }
        Ok(())
    }

    /// Ends the staging.
    pub async fn end(self, tools: Tools<'_>) -> Result<()> {
        let Staging { run_id, epoch, rows, remarks, .. } = self.staging;
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let mut client = tools.store.client().await?;
        let tx = client.transaction().await?;
        tools.lease.hold(&tx, epoch).await?;
        tx.run(sql!("sync/run/staged"), &[&run_id, &rows, &self.pull.token(), &remark]).await?;
        Ok(tx.commit().await?)
    }
}

impl Staging {
    /// Stages a page. A bad entry is recorded with its reason.
    async fn stage(&mut self, tools: Tools<'_>, page: Vec<Entry>) -> Result<()> {
        let (mut users, mut departments, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for entry in page {
            match self.check_entry(entry) {
                Ok(Entry::User(user)) => users.push(*user),
                Ok(Entry::Department(department)) => departments.push(department),
                Ok(Entry::Bad { what, external_id, detail }) => {
                    problems.push((what.kind(), external_id, detail));
                }
                Err(problem) => problems.push(problem),
            }
        }
        let mut client = tools.store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        tools.lease.hold(&tx, self.epoch).await?;
        // A server may list all entries that are gone, also unknown ones.
        let source = tools.source.name();
        let gone = |gone: bool, id: &str| gone.then(|| id.to_owned());
        let ids = users.iter().filter_map(|user| gone(user.gone, &user.external_id)).collect();
        let known_users = known(&tx, sql!("sync/run/known_users"), source, ids).await?;
        users.retain(|user| !user.gone || known_users.contains(&user.external_id));
        let ids = departments.iter().filter_map(|d| gone(d.gone, &d.department_id)).collect();
        let known_departments = known(&tx, sql!("sync/run/known_departments"), source, ids).await?;
        departments
            .retain(|department| !department.gone || known_departments.contains(&department.department_id));
        let rows = self.write(&tx, source, (&departments, &users)).await?;
        repository::note_problems(&tx, self.run_id, &problems).await?;
        tx.commit().await?;
        self.rows = rows;
        Ok(())
    }

    /// Appends records to the staging. Returns the new number of rows.
    async fn write(
        &self,
        tx: &Transaction<'_>,
        source: &str,
        (departments, users): (&[DepartmentRecord], &[UserRecord]),
    ) -> Result<i64> {
        let place = |after_row| StagePosition { run_id: self.run_id, after_row, source };
        stage::departments(tx, place(self.rows), &departments.iter().collect::<Vec<_>>()).await?;
        let rows = self.rows + count(departments);
        stage::users(tx, place(rows), &users.iter().collect::<Vec<_>>()).await?;
        let rows = rows + count(users);
        tx.run(sql!("sync/run/staging"), &[&self.run_id, &rows]).await?;
        Ok(rows)
    }

    /// The missing records to read one by one; none if the listing was incomplete. If the source cannot read
    /// one record, or there are too many, those missing in the previous full listing too are staged as gone.
    async fn missing(
        &mut self,
        tools: Tools<'_>,
        ended: ListingEnd,
        unchanged: Vec<String>,
    ) -> Result<Option<Vec<String>>> {
        let ListingEnd { what, total, .. } = ended;
        let heard = self.heard(what);
        if let Some(doubt) = heard.doubt(total.filter(|_| ended.unchanged.is_none())) {
            self.remarks.push(format!("{doubt}, so missing records are kept"));
            return Ok(None);
        }
        let mut client = tools.store.client().await?;
        let tx = client.transaction().await?;
        tools.lease.hold(&tx, self.epoch).await?;
        let (kind, source) = (what.kind(), tools.source.name());
        let statement = match what {
            EntryKind::Departments => tx.prepare_cached(sql!("sync/run/missing_departments")).await?,
            EntryKind::Users => tx.prepare_cached(sql!("sync/run/missing_users")).await?,
        };
        let rows = tx.query(&statement, &[&self.run_id, &source, &unchanged]).await?;
        let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let asks = tools.source.reads_one() && missing.len() <= tools.alone_max;
        let noted: &[String] = if asks { &[] } else { &missing };
        let rows = tx.all(sql!("sync/run/missing_before"), &[&source, &kind, &noted, &self.run_id]).await?;
        let gone: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        if !self.is_dry {
            tx.run(sql!("sync/run/note_missing"), &[&source, &kind, &noted, &self.run_id]).await?;
        }
        let (departments, users): (Vec<_>, Vec<_>) = match what {
            EntryKind::Departments => {
                (gone.iter().copied().map(DepartmentRecord::gone).collect(), Vec::new())
            }
            EntryKind::Users => (Vec::new(), gone.iter().copied().map(UserRecord::gone).collect()),
        };
        let rows = self.write(&tx, source, (&departments, &users)).await?;
        tx.commit().await?;
        self.rows = rows;
        if asks {
            return Ok(Some(missing));
        }
        if let waiting @ 1.. = missing.len() - gone.len() {
            let remark =
                format!("{waiting} are missing for the first time and leave if the next run misses them too");
            self.remarks.push(remark);
        }
        // The members of a missing Group are unknown.
        Ok(missing.is_empty().then(Vec::new))
    }

    fn heard(&mut self, what: EntryKind) -> &mut Seen {
        match what {
            EntryKind::Departments => &mut self.departments,
            EntryKind::Users => &mut self.users,
        }
    }

    fn check_entry(&mut self, entry: Entry) -> std::result::Result<Entry, Noted> {
        let what = entry.what();
        let heard = self.heard(what);
        let Some(id) = entry.external_id() else {
            heard.nameless += 1;
            return Ok(entry);
        };
        if heard.ids.insert(id.to_owned()) {
            return Ok(entry);
        }
        heard.twice += 1;
        Err((what.kind(), Some(id.to_owned()), "was listed twice; the first entry counts".to_owned()))
    }
}

impl Seen {
    /// Why a listing may be incomplete, if it may.
    fn doubt(&self, total: Option<u64>) -> Option<String> {
        let there = self.ids.len() + self.nameless;
        match total {
            _ if self.nameless > 0 => Some(format!("{} entries have no id", self.nameless)),
            _ if self.twice > 0 => Some(format!("{} entries were repeated", self.twice)),
            Some(total) if total != there as u64 => Some(format!("{there} of {total} were listed")),
            _ => None,
        }
    }
}

/// Which of these records belong to a source already.
async fn known(tx: &Transaction<'_>, sql: &str, source: &str, ids: Vec<String>) -> Result<HashSet<String>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = tx.prepare_cached(sql).await?;
    let rows = tx.query(&statement, &[&source, &ids]).await?;
    Ok(rows.into_iter().map(|row| row.get(0)).collect())
}

fn count<T>(records: &[T]) -> i64 {
    i64::try_from(records.len()).unwrap_or(i64::MAX)
}
