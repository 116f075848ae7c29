//! A listing under way: what it tells is checked and staged, page by page.

use std::collections::HashSet;

use super::book::{self, Noted};
use crate::directory::record::{DepartmentRecord, USER_ATTRIBUTES, UserRecord};
use crate::directory::source::{Failure, Pull, Source, Told};
use crate::directory::stage::{self, Place};
use crate::error::Result;
use crate::lease::Lease;
use crate::sql;
use crate::store::Store;

pub struct Listening {
    run_id: i64,
    epoch: i64,
    pull: Box<dyn Pull>,
    rows: i64,
    /// Who was told of: a listing that shifts under us tells some twice.
    users: HashSet<String>,
    departments: HashSet<String>,
    /// Entries of which not even the id can be read.
    nameless: u64,
}

impl Listening {
    pub fn new(run_id: i64, epoch: i64, pull: Box<dyn Pull>) -> Self {
        Self { run_id, epoch, pull, rows: 0, users: HashSet::new(), departments: HashSet::new(), nameless: 0 }
    }

    /// Whether it is this run's, and nobody else ran in between.
    pub fn is_of(&self, run_id: i64, epoch: i64) -> bool {
        (self.run_id, self.epoch) == (run_id, epoch)
    }

    pub async fn page(&mut self) -> std::result::Result<Option<Vec<Told>>, Failure> {
        self.pull.page().await
    }

    /// Stages a page; a bad entry is kept with its reason.
    pub async fn stage(&mut self, store: &Store, lease: &Lease, source: &str, page: Vec<Told>) -> Result<()> {
        let (mut users, mut departments, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for told in page {
            match self.judge(told) {
                Ok(Told::User(user)) => users.push(*user),
                Ok(Told::Department(department)) => departments.push(department),
                Ok(Told::Bad { kind, external_id, detail }) => problems.push((kind, external_id, detail)),
                Err(problem) => problems.push(problem),
            }
        }
        let users: Vec<&UserRecord> = users.iter().collect();
        let departments: Vec<&DepartmentRecord> = departments.iter().collect();
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        lease.hold(&tx, self.epoch).await?;
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

    /// Everything was told. In a full listing, whoever is missing is no more, unless an entry may be theirs.
    pub async fn end(self, store: &Store, lease: &Lease, source: &dyn Source, is_full: bool) -> Result<()> {
        let mut rows = self.rows;
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        lease.hold(&tx, self.epoch).await?;
        let mut remark = None;
        if is_full && self.nameless == 0 {
            if source.has_departments() {
                let statement = tx.prepare_cached(sql!("directory/stage_gone_departments")).await?;
                let stays = ["name", "parent_id", "sort_order"];
                rows +=
                    gone(tx.execute(&statement, &[&self.run_id, &source.name(), &rows, &&stays[..]]).await?);
            }
            let statement = tx.prepare_cached(sql!("directory/stage_gone_users")).await?;
            let stays: Vec<&str> = USER_ATTRIBUTES.iter().copied().filter(|a| *a != "active").collect();
            rows += gone(tx.execute(&statement, &[&self.run_id, &source.name(), &rows, &stays]).await?);
        } else if is_full {
            remark = Some(format!("{} entries name nobody, so nobody is taken to have left", self.nameless));
        }
        let statement = tx.prepare_cached(sql!("directory/staged")).await?;
        tx.execute(&statement, &[&self.run_id, &rows, &self.pull.token(), &remark]).await?;
        Ok(tx.commit().await?)
    }
}

fn count<T>(records: &[T]) -> i64 {
    i64::try_from(records.len()).unwrap_or(i64::MAX)
}

fn gone(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
