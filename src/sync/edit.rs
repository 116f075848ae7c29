//! Edits of users. Attributes of our own are changed at once. Attributes of the source wait in a queue until
//! the source has taken them. Each write has a precondition, and a user's edits are sent one at a time.
//!
//! Until then the old value is shown, because the source has it.

mod repository;
mod send;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::source::{self, Source};
pub use super::values::Values;
use super::{ACCOUNT, API, apply, change_users_in};
use crate::base::audit::{self, Action, Entry};
use crate::base::config::{Config, DirectorySettings};
use crate::base::error::{Error, Kind, Result};
use crate::base::named::named;
use crate::base::store::{Store, retrying};
use repository::{Ask, EditedUser};
pub use repository::{Edit, prune};

/// Why an edit can be neither sent again nor cancelled.
const DECIDED: &str = "the edit is being sent, or was applied or cancelled";
/// Most pending edits of one user.
const PENDING_MAX: i64 = 100;

named! {
    /// How far an edit has come.
    pub enum EditState ("state of an edit") {
        Waiting = "waiting",
        /// An attempt is under way.
        Sent = "sent",
        Applied = "applied",
        /// The value had changed at the source.
        Conflict = "conflict",
        Refused = "refused",
        /// The source did not answer for too long.
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

/// Notes in the audit what an administrator decides about an edit.
async fn note_decision(
    tx: &Transaction<'_>,
    action: Action,
    edit: &Edit,
    by: (&str, OffsetDateTime),
) -> Result<()> {
    let filter = json!({"edit_id": edit.edit_id.to_string(), "user_id": edit.user_id});
    audit::append_with(tx, Entry::change(action, filter, by)).await
}

/// The edits of all users.
pub struct Edits {
    store: Store,
    source: Option<Box<dyn Source>>,
    settings: DirectorySettings,
    /// How long an attempt stays with its replica after its calls must have ended.
    margin: Duration,
    wake: Arc<Notify>,
}

/// The immediate result of an edit.
#[derive(Debug)]
pub struct Edited {
    /// Attributes that were changed at once.
    pub applied: Values,
    /// The edit that waits for the source.
    pub edit: Option<Edit>,
}

impl Edits {
    /// # Errors
    /// `Kind::Internal` with the setting that is invalid.
    pub fn open(store: Store, config: &Config) -> Result<Self> {
        let settings = config.directory.clone();
        if settings.editable.iter().any(|attribute| super::values::named(attribute).is_none()) {
            let unknown = "directory.editable contains an attribute that is unknown or cannot be edited";
            return Err(Error::new(Kind::Internal, unknown));
        }
        let source = source::open(&settings, config.workers.connection_life)?;
        Ok(Self { store, source, settings, margin: config.workers.lease, wake: Arc::default() })
    }

    /// Wakes the worker that sends edits.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Whether there is a source to send edits to.
    pub fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Edits a user. Either everything is applied or queued, or nothing.
    ///
    /// # Errors
    /// `Kind::Conflict` with an attribute that the directory owns and cannot be written to; `NotFound`;
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

    /// The same for the caller's own record, if the settings allow it.
    ///
    /// # Errors
    /// `Kind::Forbidden` with an attribute that users may not edit; and as above.
    pub async fn edit_oneself(&self, user_id: &str, changes: &Values, now: OffsetDateTime) -> Result<Edited> {
        let may = |attribute: &str| self.settings.editable.iter().any(|editable| editable == attribute);
        if let Some(attribute) = changes.names().find(|attribute| !may(attribute)) {
            let why = "users cannot edit this attribute: it is not in directory.editable";
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
        let person = repository::person(&tx, user_id).await?;
        let (ours, mut theirs) = self.split(&person, self.named(&tx, &person, changes).await?)?;
        if person.pending == 0 {
            theirs.drop_same(&person.values);
        } else if person.pending >= PENDING_MAX && !theirs.is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                "this user already has 100 waiting edits: try again later",
            ));
        }
        if !ours.is_empty() {
            let record = ours.record(&person.user_id)?;
            change_users_in(&tx, API, &[&record], now).await?;
        }
        let mut edit = None;
        if !theirs.is_empty() {
            let ask = Ask { person: &person, attributes: &theirs, asked_by, now };
            edit = Some(repository::ask(&tx, ask, now + self.settings.edit_give_up).await?);
        }
        tx.commit().await?;
        Ok(Edited { applied: changes.without(&theirs), edit })
    }

    /// Replaces ids in an edit by those of the user's source.
    async fn named(&self, tx: &Transaction<'_>, person: &EditedUser, changes: &Values) -> Result<Values> {
        let (manager, departments) = (changes.text("manager"), changes.list("department_ids"));
        let found = repository::names(tx, &person.source, manager, &departments).await?;
        if let Some(at) = found.unknown_at {
            return Err(Error::field(format!("/department_ids/{}", at - 1), "no such department"));
        }
        let mut named = changes.clone();
        if manager.is_some() {
            let unknown = || Error::field("/manager", "is not a user of the same source");
            named.put("manager", found.manager.ok_or_else(unknown)?.into());
        }
        Ok(named)
    }

    /// Splits an edit into our attributes and those of the source.
    fn split(&self, person: &EditedUser, changes: Values) -> Result<(Values, Values)> {
        if [API, ACCOUNT].contains(&person.source.as_str()) {
            return Ok((changes, Values::default()));
        }
        let own = self.source.as_ref().filter(|source| source.name() == person.source);
        let writer = own.and_then(|source| source.writer());
        let is_local = |attribute: &str| {
            self.settings.local.iter().any(|local| local == attribute)
                || own.is_some_and(|source| !source.provides(attribute))
        };
        let (ours, theirs) = changes.partition(is_local);
        let taken = |attribute: &&str| writer.is_some_and(|writer| writer.takes(attribute));
        if let Some(attribute) = theirs.names().find(|attribute| !taken(attribute)) {
            let why = format!(
                "{attribute} belongs to the directory's source, which cannot be written: change it there"
            );
            return Err(Error::new(Kind::Conflict, why).at(format!("/{attribute}")));
        }
        Ok((ours, theirs))
    }

    /// One page of a user's edits below `before`, newest first.
    pub async fn of_person(&self, user_id: &str, before: i64, limit: i64) -> Result<Vec<Edit>> {
        repository::of_person(&self.store, user_id, before, limit).await
    }

    /// One page of all edits in one state, or in all states.
    pub async fn list(&self, state: Option<EditState>, before: i64, limit: i64) -> Result<Vec<Edit>> {
        let states = state.map_or_else(|| EditState::ALL.to_vec(), |state| vec![state]);
        let states: Vec<&str> = states.into_iter().map(EditState::as_str).collect();
        repository::list(&self.store, &states, before, limit).await
    }

    /// Sends an edit again that was not taken. After a conflict it overwrites the value that was shown.
    ///
    /// # Errors
    /// `Kind::Conflict` if it is being sent, was applied or cancelled; `NotFound`.
    pub async fn retry(&self, edit_id: i64, admin: &str, now: OffsetDateTime) -> Result<Edit> {
        let edit = repository::get(&self.store, edit_id).await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        if !repository::retry(&tx, edit_id, now, now + self.settings.edit_give_up).await? {
            return Err(Error::new(Kind::Conflict, DECIDED));
        }
        note_decision(&tx, Action::EditRetried, &edit, (admin, now)).await?;
        tx.commit().await?;
        drop(client);
        self.wake.notify_one();
        repository::get(&self.store, edit_id).await
    }

    /// Cancels an edit that is not being sent. An earlier attempt without an answer may have succeeded.
    ///
    /// # Errors
    /// `Kind::Conflict` if it is being sent, was applied or cancelled; `NotFound`.
    pub async fn cancel(&self, edit_id: i64, admin: &str, now: OffsetDateTime) -> Result<Edit> {
        let edit = repository::get(&self.store, edit_id).await?;
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        if !repository::cancel(&tx, edit_id, admin, now).await? {
            return Err(Error::new(Kind::Conflict, DECIDED));
        }
        note_decision(&tx, Action::EditCancelled, &edit, (admin, now)).await?;
        tx.commit().await?;
        drop(client);
        self.wake.notify_one();
        repository::get(&self.store, edit_id).await
    }
}
