//! What administrators do about accounts: roles, suspensions, one-time codes. Each is in the audit.

use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::registration::CODE_PREFIX;
use super::{Accounts, session};
use crate::base::audit::{self, Action, Entry};
use crate::base::bearer;
use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::is_label;
use crate::identity::{Role, Roles};
use crate::sql;

const REASON_CHARS_MAX: usize = 500;

/// An account as administrators see it.
#[derive(Debug)]
pub struct Account {
    pub user_id: String,
    pub username: String,
    pub roles: Roles,
    pub has_password: bool,
    pub created_at: OffsetDateTime,
    pub last_seen_at: Option<OffsetDateTime>,
    /// Until when, and why.
    pub suspended: Option<(OffsetDateTime, String)>,
}

impl Account {
    fn of_row(row: &Row) -> Self {
        let until: Option<OffsetDateTime> = row.get("suspended_until");
        Self {
            user_id: row.get("user_id"),
            username: row.get("username"),
            roles: Roles::named(row.get::<_, Vec<&str>>("roles")),
            has_password: row.get("has_password"),
            created_at: row.get("created_at"),
            last_seen_at: row.get("last_seen_at"),
            suspended: until.zip(row.get("suspended_reason")),
        }
    }
}

/// The end of a page: the username, folded, and the user id.
pub type Cursor = (String, String);

/// One page of accounts by username.
pub async fn list(
    store: &Store,
    after: Option<&Cursor>,
    limit: i64,
) -> Result<(Vec<Account>, Option<Cursor>)> {
    let (name, user_id) = after.map_or(("", ""), |(name, user_id)| (name.as_str(), user_id.as_str()));
    let rows = store.all(sql!("accounts/admin/list"), &[&name, &user_id, &limit]).await?;
    let last = rows.last().filter(|_| rows.len() as i64 >= limit);
    let next = last.map(|row| (row.get("username_folded"), row.get("user_id")));
    Ok((rows.iter().map(Account::of_row).collect(), next))
}

/// The account of a user.
///
/// # Errors
/// `Kind::NotFound`.
pub async fn get(store: &Store, user_id: &str) -> Result<Account> {
    let row = store.opt(sql!("accounts/admin/get"), &[&user_id]).await?;
    row.as_ref().map(Account::of_row).ok_or_else(missing)
}

/// An administrator who acts on an account, when, and on which.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    pub actor: &'a str,
    pub user_id: &'a str,
    pub now: OffsetDateTime,
}

impl Act<'_> {
    /// An administrator must not lock themselves out.
    fn check_other(self, what: &'static str) -> Result<()> {
        if self.actor == self.user_id { Err(Error::new(Kind::Conflict, what)) } else { Ok(()) }
    }

    async fn note(self, tx: &Transaction<'_>, action: Action, filter: Value) -> Result<()> {
        audit::append_with(tx, Entry::change(action, filter, (self.actor, self.now))).await
    }
}

/// Refuses to let the last administrator go who can sign in: no account could give the role to another.
///
/// # Errors
/// `Kind::Conflict`.
pub(super) async fn keep_one(tx: &Transaction<'_>, user_id: &str, now: OffsetDateTime) -> Result<()> {
    if tx.one(sql!("accounts/admin/is_last"), &[&user_id, &now]).await?.get(0) {
        let detail =
            "this is the last administrator who can sign in: give the role admin to another user first";
        return Err(Error::new(Kind::Conflict, detail));
    }
    Ok(())
}

/// Whether there is an administrator who can sign in. A source of the directory can take the last one away: it is not asked
/// back. Then a command on the server makes another one.
pub async fn can_administer(store: &Store, now: OffsetDateTime) -> Result<bool> {
    Ok(store.one(sql!("accounts/admin/can_administer"), &[&now]).await?.get(0))
}

/// Gives an account exactly these roles beside `user`. They count from the next request on.
///
/// # Errors
/// `Kind::NotFound`. `Kind::Conflict` if administrators take the role from themselves, or if none stays.
pub async fn set_roles(store: &Store, act: Act<'_>, roles: Roles) -> Result<()> {
    if !roles.given(Role::Admin) {
        act.check_other("another administrator must take the role admin from you")?;
    }
    let names = roles.without(Role::User).names();
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        if !roles.given(Role::Admin) {
            keep_one(&tx, act.user_id, act.now).await?;
        }
        found(tx.run(sql!("accounts/admin/set_roles"), &[&act.user_id, &names]).await?)?;
        act.note(&tx, Action::AccountRoles, json!({"user_id": act.user_id, "roles": names})).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Suspends an account until a time: its sessions end, and nobody can sign in. The user stays in the directory and in
/// groups.
///
/// # Errors
/// `Kind::NotFound`. `Kind::Conflict` if administrators suspend themselves, or for the last who can sign in.
/// `Kind::InvalidField`.
pub async fn suspend(store: &Store, act: Act<'_>, (until, reason): (OffsetDateTime, &str)) -> Result<()> {
    if until <= act.now {
        return Err(Error::field("/until", "must be in the future"));
    }
    if !is_label(reason, REASON_CHARS_MAX) {
        return Err(Error::field(
            "/reason",
            "must be one line of 1 to 500 characters, at least one of them visible",
        ));
    }
    act.check_other("another administrator must suspend you")?;
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        keep_one(&tx, act.user_id, act.now).await?;
        found(tx.run(sql!("accounts/admin/suspend"), &[&act.user_id, &until, &reason]).await?)?;
        session::end_others(&tx, act.user_id, None).await?;
        let filter = json!({"user_id": act.user_id, "until": until.unix_timestamp(), "reason": reason});
        act.note(&tx, Action::AccountSuspended, filter).await?;
        Ok(tx.commit().await?)
    })
    .await
}

/// Lifts a suspension. Lifting none is no error.
///
/// # Errors
/// `Kind::NotFound`.
pub async fn lift(store: &Store, act: Act<'_>) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        found(tx.run(sql!("accounts/admin/lift"), &[&act.user_id]).await?)?;
        act.note(&tx, Action::AccountLifted, json!({"user_id": act.user_id})).await?;
        Ok(tx.commit().await?)
    })
    .await
}

impl Accounts {
    /// Makes a one-time code with which a user sets a new password. The old password stays valid until then. A new code
    /// replaces the one before.
    ///
    /// # Errors
    /// `Kind::NotFound`.
    pub async fn start_reset(&self, act: Act<'_>) -> Result<(Secret, OffsetDateTime)> {
        start_reset(&self.store, act, act.now + self.settings.reset_life).await
    }
}

/// The same, for a command on the server too.
pub async fn start_reset(
    store: &Store,
    act: Act<'_>,
    expires_at: OffsetDateTime,
) -> Result<(Secret, OffsetDateTime)> {
    let code = bearer::mint(CODE_PREFIX)?;
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        let hash = bearer::hash(&code);
        found(tx.run(sql!("accounts/admin/start_reset"), &[&act.user_id, &hash, &expires_at]).await?)?;
        act.note(&tx, Action::AccountReset, json!({"user_id": act.user_id})).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    Ok((code.into(), expires_at))
}

/// The user whose account has a username, for a command on the server.
///
/// # Errors
/// `Kind::NotFound`.
pub async fn of_username(store: &Store, username: &str) -> Result<String> {
    let folded = super::username::typed(username).unwrap_or_default();
    let row = store.opt(sql!("accounts/admin/of_username"), &[&folded]).await?;
    row.map(|row| row.get("user_id")).ok_or_else(missing)
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 { Err(missing()) } else { Ok(()) }
}

fn missing() -> Error {
    Error::not_found("no such account")
}
