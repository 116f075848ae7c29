//! A listing under way: what it tells is checked and staged, page by page.

use std::collections::HashSet;

use deadpool_postgres::Transaction;

use super::book::{self, Noted};
use crate::directory::record::{DepartmentRecord, USER_ATTRIBUTES, UserRecord};
use crate::directory::source::{Failure, Pull, Source, Told};
use crate::directory::stage::{self, Place};
use crate::error::Result;
use crate::lease::Lease;
use crate::sql;
use crate::store::{REPEATABLE, Store};

/// What came of asking for a page; none at the end.
type Page = std::result::Result<Option<Vec<Told>>, Failure>;

pub struct Listening {
    pull: Box<dyn Pull>,
    /// The page after the one that is staged: it was asked for meanwhile.
    ahead: Option<Page>,
    staging: Staging,
}

/// What was told so far.
struct Staging {
    run_id: i64,
    epoch: i64,
    rows: i64,
    /// Who was told of: a listing that shifts under us tells some twice.
    users: HashSet<String>,
    departments: HashSet<String>,
    /// Entries of which not even the id can be read.
    nameless: u64,
}

impl Listening {
    pub fn new(run_id: i64, epoch: i64, pull: Box<dyn Pull>) -> Self {
        let (users, departments) = (HashSet::new(), HashSet::new());
        Self {
            pull,
            ahead: None,
            staging: Staging { run_id, epoch, rows: 0, users, departments, nameless: 0 },
        }
    }

    /// Whether it is this run's, and nobody else ran in between.
    pub fn is_of(&self, run_id: i64, epoch: i64) -> bool {
        (self.staging.run_id, self.staging.epoch) == (run_id, epoch)
    }

    pub async fn page(&mut self) -> Page {
        match self.ahead.take() {
            Some(page) => page,
            None => self.pull.page().await,
        }
    }

    /// Stages a page, while the source is asked for the next one.
    pub async fn stage(&mut self, store: &Store, lease: &Lease, source: &str, page: Vec<Told>) -> Result<()> {
        let (staged, ahead) = tokio::join!(self.staging.stage(store, lease, source, page), self.pull.page());
        self.ahead = Some(ahead);
        staged
    }

    /// Everything was told. In a full listing, or where the source has named whoever is still there, whoever is
    /// missing is no more, unless an entry may be theirs.
    pub async fn end(
        mut self,
        store: &Store,
        lease: &Lease,
        source: &dyn Source,
        is_full: bool,
    ) -> Result<()> {
        let (departments, users) = (self.pull.unchanged_departments(), self.pull.unchanged_users());
        let everybody = is_full.then(Vec::new);
        let departments = departments.or_else(|| everybody.clone()).filter(|_| source.has_departments());
        let users = users.or(everybody);
        let Staging { run_id, epoch, mut rows, nameless, .. } = self.staging;
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        lease.hold(&tx, epoch).await?;
        let mut remark = None;
        if nameless == 0 {
            let run = (&run_id, &source.name());
            if let Some(unchanged) = departments {
                let statement = tx.prepare_cached(sql!("directory/stage_gone_departments")).await?;
                let stays = ["name", "parent_id", "sort_order"];
                rows += gone(tx.execute(&statement, &[run.0, run.1, &rows, &&stays[..], &unchanged]).await?);
            }
            if let Some(unchanged) = users {
                let statement = tx.prepare_cached(sql!("directory/stage_gone_users")).await?;
                let stays: Vec<&str> = USER_ATTRIBUTES.iter().copied().filter(|a| *a != "active").collect();
                rows += gone(tx.execute(&statement, &[run.0, run.1, &rows, &stays, &unchanged]).await?);
            }
        } else if is_full {
            remark = Some(format!("{nameless} entries name nobody, so nobody is taken to have left"));
        }
        let statement = tx.prepare_cached(sql!("directory/staged")).await?;
        tx.execute(&statement, &[&run_id, &rows, &self.pull.token(), &remark]).await?;
        Ok(tx.commit().await?)
    }
}

impl Staging {
    /// Stages a page; a bad entry is kept with its reason.
    async fn stage(&mut self, store: &Store, lease: &Lease, source: &str, page: Vec<Told>) -> Result<()> {
        let (mut users, mut departments, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for told in page {
            match self.judge(told) {
                Ok(Told::User(user)) => users.push(*user),
                Ok(Told::Department(department)) => departments.push(department),
                Ok(Told::Bad { kind, external_id, detail }) => problems.push((kind, external_id, detail)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        lease.hold(&tx, self.epoch).await?;
        // A server may name all who are no more, whoever they were.
        let gone = |gone: bool, id: &str| gone.then(|| id.to_owned());
        let ids = users.iter().filter_map(|user| gone(user.gone, &user.external_id)).collect();
        let known_users = known(&tx, sql!("directory/known_users"), source, ids).await?;
        users.retain(|user| !user.gone || known_users.contains(&user.external_id));
        let ids = departments.iter().filter_map(|d| gone(d.gone, &d.department_id)).collect();
        let known_departments = known(&tx, sql!("directory/known_departments"), source, ids).await?;
        departments
            .retain(|department| !department.gone || known_departments.contains(&department.department_id));
        let users: Vec<&UserRecord> = users.iter().collect();
        let departments: Vec<&DepartmentRecord> = departments.iter().collect();
        let place = |after_row| Place { run_id: self.run_id, after_row, source };
        stage::departments(&tx, place(self.rows), &departments).await?;
        let rows = self.rows + count(&departments);
        stage::users(&tx, place(rows), &users).await?;
        let rows = rows + count(&users);
        book::note_problems(&tx, self.run_id, &problems).await?;
        let statement = tx.prepare_cached(sql!("directory/staging")).await?;
        tx.execute(&statement, &[&self.run_id, &rows]).await?;
        tx.commit().await?;
        self.rows = rows;
        Ok(())
    }

    fn judge(&mut self, told: Told) -> std::result::Result<Told, Noted> {
        let twice = "was listed twice; the first entry counts".to_owned();
        match &told {
            Told::User(user) if !self.users.insert(user.external_id.clone()) => {
                Err(("user", Some(user.external_id.clone()), twice))
            }
            Told::Department(department) if !self.departments.insert(department.department_id.clone()) => {
                Err(("department", Some(department.department_id.clone()), twice))
            }
            Told::Bad { external_id: None, .. } => {
                self.nameless += 1;
                Ok(told)
            }
            _ => Ok(told),
        }
    }
}

/// Which of these, if there are any, a source has told of before.
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

fn gone(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
