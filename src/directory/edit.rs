//! Edits of people: what is ours to say is applied at once; what the directory owns waits in a queue until its
//! source has taken it, under a precondition, one edit after another of each person.
//!
//! Until then the old value stays here: what everybody sees is what the source says.

mod book;
mod send;
mod values;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::source::{self, Source};
use super::{API, apply, change_users_in};
use crate::config::{Config, Directory};
use crate::error::{Error, Kind, Result};
use crate::store::{Store, retrying};
use book::{Ask, Person};
pub use book::{Edit, prune};
pub use values::Values;

/// Most edits of one person that may wait.
const PENDING_MAX: i64 = 100;
/// Every state of an edit.
pub const STATES: &[&str] = &["waiting", "sent", "applied", "conflict", "refused", "failed", "cancelled"];

/// The edits of everybody.
pub struct Edits {
    store: Store,
    source: Option<Box<dyn Source>>,
    settings: Directory,
    /// How long an attempt belongs to its replica after its calls must have ended.
    margin: Duration,
    wake: Arc<Notify>,
}

/// What became of an edit at once.
#[derive(Debug)]
pub struct Edited {
    /// What is so from now on, as it was asked for.
    pub applied: Values,
    /// What waits for the source.
    pub edit: Option<Edit>,
}

impl Edits {
    /// # Errors
    /// `Kind::Internal` naming the setting that will not do.
    pub fn open(store: Store, config: &Config) -> Result<Self> {
        let settings = config.directory.clone();
        if settings.editable.iter().any(|attribute| values::named(attribute).is_none()) {
            let unknown = "directory.editable names an attribute that there is not, or that nobody edits";
            return Err(Error::new(Kind::Internal, unknown));
        }
        let source = source::open(&settings, config.connection_life)?;
        Ok(Self { store, source, settings, margin: config.lease, wake: Arc::default() })
    }

    /// Wakes whoever sends.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Whether there is anybody to send edits to.
    pub fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Edits somebody. All of it is applied or kept, or nothing.
    ///
    /// # Errors
    /// `Kind::Conflict` naming an attribute that the directory owns and nothing can be written to; `NotFound`;
    /// `InvalidField`.
    pub async fn edit(
        &self,
        user_id: &str,
        changes: &Values,
        asked_by: &str,
        now: OffsetDateTime,
    ) -> Result<Edited> {
        let edited = retrying(|| self.edit_once(user_id, changes, asked_by, now)).await?;
        if edited.edit.is_some() {
            self.wake.notify_one();
        }
        Ok(edited)
    }

    /// The same of oneself, where the settings let people.
    ///
    /// # Errors
    /// `Kind::Forbidden` naming an attribute that people may not edit; and as above.
    pub async fn edit_oneself(&self, user_id: &str, changes: &Values, now: OffsetDateTime) -> Result<Edited> {
        let may = |attribute: &str| self.settings.editable.iter().any(|editable| editable == attribute);
        if let Some(attribute) = changes.names().find(|attribute| !may(attribute)) {
            let why = "people do not edit this of themselves: directory.editable";
            return Err(Error::new(Kind::Forbidden, why).at(format!("/{attribute}")));
        }
        self.edit(user_id, changes, user_id, now).await
    }

    async fn edit_once(
        &self,
        user_id: &str,
        changes: &Values,
        asked_by: &str,
        now: OffsetDateTime,
    ) -> Result<Edited> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        apply::lock(&tx).await?;
        let person = book::person(&tx, user_id).await?;
        let (ours, mut theirs) = self.split(&person, self.named(&tx, &person, changes).await?)?;
        if person.pending == 0 {
            theirs.drop_same(&person.values);
        } else if person.pending >= PENDING_MAX && !theirs.is_empty() {
            return Err(Error::new(Kind::Conflict, "100 edits of this person wait already"));
        }
        if !ours.is_empty() {
            let record = ours.record(&person.user_id)?;
            change_users_in(&tx, API, &[&record], now).await?;
        }
        let mut edit = None;
        if !theirs.is_empty() {
            let ask = Ask { person: &person, attributes: &theirs, asked_by, now };
            edit = Some(book::ask(&tx, ask, now + self.settings.edit_give_up).await?);
        }
        tx.commit().await?;
        Ok(Edited { applied: changes.without(&theirs), edit })
    }

    /// What an edit names, as the person's source calls it.
    async fn named(&self, tx: &Transaction<'_>, person: &Person, changes: &Values) -> Result<Values> {
        let (manager, departments) = (changes.text("manager"), changes.list("department_ids"));
        let found = book::names(tx, &person.source, manager, &departments).await?;
        if let Some(at) = found.unknown_at {
            return Err(Error::field(format!("/department_ids/{}", at - 1), "there is no such department"));
        }
        let mut named = changes.clone();
        if manager.is_some() {
            let nobody = || Error::field("/manager", "the directory of this person does not know them");
            named.put("manager", found.manager.ok_or_else(nobody)?.into());
        }
        Ok(named)
    }

    /// What is ours to say of somebody, and what has to be asked of the source that owns it.
    fn split(&self, person: &Person, changes: Values) -> Result<(Values, Values)> {
        if person.source == API {
            return Ok((changes, Values::default()));
        }
        let own = self.source.as_ref().filter(|source| source.name() == person.source);
        let writer = own.and_then(|source| source.writer());
        let is_local = |attribute: &str| {
            self.settings.local.iter().any(|local| local == attribute)
                || own.is_some_and(|source| !source.tells(attribute))
        };
        let (ours, theirs) = changes.partition(is_local);
        let taken = |attribute: &&str| writer.is_some_and(|writer| writer.takes(attribute));
        if let Some(attribute) = theirs.names().find(|attribute| !taken(attribute)) {
            let why =
                format!("the directory owns {attribute}, and it cannot be written there: change it there");
            return Err(Error::new(Kind::Conflict, why).at(format!("/{attribute}")));
        }
        Ok((ours, theirs))
    }

    /// One page of a person's edits below `before`, newest first.
    pub async fn of_person(&self, user_id: &str, before: i64, limit: i64) -> Result<Vec<Edit>> {
        book::of_person(&self.store, user_id, before, limit).await
    }

    /// One page of everybody's edits in a state, or in all of them.
    pub async fn list(&self, state: Option<&str>, before: i64, limit: i64) -> Result<Vec<Edit>> {
        let states = state.map_or_else(|| STATES.to_vec(), |state| vec![state]);
        book::list(&self.store, &states, before, limit).await
    }

    /// Has an edit sent again that was not taken. After a conflict it goes over what was shown.
    ///
    /// # Errors
    /// `Kind::Conflict` if it is under way, was taken or cancelled; `NotFound`.
    pub async fn retry(&self, edit_id: i64, now: OffsetDateTime) -> Result<Edit> {
        book::get(&self.store, edit_id).await?;
        if !book::retry(&self.store, edit_id, now, now + self.settings.edit_give_up).await? {
            return Err(Error::new(Kind::Conflict, "the edit is under way, was taken, or is cancelled"));
        }
        self.wake.notify_one();
        book::get(&self.store, edit_id).await
    }

    /// Ends an edit that is not under way. What was sent before without an answer may have arrived.
    ///
    /// # Errors
    /// `Kind::Conflict` if it is under way, was taken or cancelled; `NotFound`.
    pub async fn cancel(&self, edit_id: i64, admin: &str, now: OffsetDateTime) -> Result<Edit> {
        book::get(&self.store, edit_id).await?;
        if !book::cancel(&self.store, edit_id, admin, now).await? {
            return Err(Error::new(Kind::Conflict, "the edit is under way, was taken, or is cancelled"));
        }
        self.wake.notify_one();
        book::get(&self.store, edit_id).await
    }
}
