//! New accounts: registered by people, or created by an administrator on the server. Each makes a user of the directory.

use deadpool_postgres::Transaction;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::hashing::{Who, hash_now};
use super::username::Username;
use super::{Accounts, invitation, password};
use crate::base::audit::{self, Action, Entry};
use crate::base::bearer;
use crate::base::config::{AccountSettings, Registration, Secret};
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::is_label;
use crate::identity::Roles;
use crate::people::search_index;
use crate::sql;
use crate::sync::{self, USER_ATTRIBUTES, UserRecord};

const NAME_CHARS_MAX: usize = 255;
/// Begins a one-time code, so that secret scanners find a leaked one.
pub const CODE_PREFIX: &str = "imrc_";
/// A command on the server. No user can have this id.
const ON_SERVER: &str = ".server";

/// What a new account is to have.
#[derive(Debug, Clone, Copy)]
pub struct NewAccount<'a> {
    pub username: &'a str,
    pub name: &'a str,
    pub email: Option<&'a str>,
}

/// An account that was made.
#[derive(Debug)]
pub struct Registered {
    pub user_id: String,
    pub username: String,
}

/// What is stored of a new account beside what the caller said.
struct Stored<'a> {
    user_id: &'a str,
    username: &'a Username,
    password_hash: Option<&'a str>,
    roles: Roles,
    /// The hash of a one-time code, and when it ends.
    code: Option<(Vec<u8>, OffsetDateTime)>,
    now: OffsetDateTime,
}

impl Accounts {
    /// Makes an account for somebody who reaches the service, if the settings allow it.
    ///
    /// # Errors
    /// `Kind::Forbidden` if nobody may register. `Kind::InvalidField` for an invitation that is not valid, before anything
    /// is said about the username. `Kind::UsernameTaken`.
    pub async fn register(
        &self,
        new: NewAccount<'_>,
        password: &str,
        code: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Registered> {
        let code = match self.settings.register {
            Registration::Closed => {
                let detail =
                    "people cannot register here (`account_register`): ask an administrator for an account";
                return Err(Error::new(Kind::Forbidden, detail));
            }
            Registration::Open => None,
            Registration::Invitation => Some(invitation::check(&self.store, code, now).await?),
        };
        let username = Username::new(new.username).map_err(|why| Error::field("/username", why))?;
        if username.is_reserved() {
            return Err(Error::new(Kind::UsernameTaken, "").at("/username"));
        }
        let record = record(new, &username)?;
        let password = password::chosen(&self.settings, password, &username.shown, "/password")?;
        let hash = self.hasher.hash(password, Who::Stranger).await?;
        let user_id = record.user_id.clone();
        let stored = Stored {
            user_id: &user_id,
            username: &username,
            password_hash: Some(&hash),
            roles: Roles::default(),
            code: None,
            now,
        };
        retrying(|| self.insert_invited(&stored, &record, code.as_deref())).await?;
        search_index::catch_up(&self.store, std::slice::from_ref(&user_id)).await?;
        Ok(Registered { user_id, username: username.shown })
    }

    async fn insert_invited(&self, new: &Stored<'_>, record: &UserRecord, code: Option<&[u8]>) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        if let Some(code) = code {
            invitation::take(&tx, code, new.now).await?;
        }
        insert(&tx, new, record).await?;
        Ok(tx.commit().await?)
    }
}

/// Makes an account for a command on the server: with a password, or with a one-time code that sets one.
///
/// # Errors
/// `Kind::InvalidField`, `Kind::UsernameTaken`.
pub async fn create(
    store: &Store,
    settings: &AccountSettings,
    new: NewAccount<'_>,
    (password, roles): (Option<&str>, Roles),
    now: OffsetDateTime,
) -> Result<(Registered, Option<Secret>)> {
    let username = Username::new(new.username).map_err(|why| Error::field("/username", why))?;
    let record = record(new, &username)?;
    let hash = match password {
        Some(password) => {
            let password = password::chosen(settings, password, &username.shown, "/password")?;
            Some(hash_now(settings, &password)?)
        }
        None => None,
    };
    let code = if hash.is_none() { Some(bearer::mint(CODE_PREFIX)?) } else { None };
    let user_id = record.user_id.clone();
    let stored = Stored {
        user_id: &user_id,
        username: &username,
        password_hash: hash.as_deref(),
        roles,
        code: code.as_deref().map(|code| (bearer::hash(code), now + settings.reset_life)),
        now,
    };
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        insert(&tx, &stored, &record).await?;
        let filter = json!({"user_id": user_id, "username": username.shown, "roles": roles.names()});
        audit::append_with(&tx, Entry::change(Action::AccountCreated, filter, (ON_SERVER, now))).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    search_index::catch_up(store, std::slice::from_ref(&user_id)).await?;
    Ok((Registered { user_id, username: username.shown.clone() }, code.map(Into::into)))
}

/// The record of the new user. The id is new, so that no user ever gets the history of another.
fn record(new: NewAccount<'_>, username: &Username) -> Result<UserRecord> {
    if !is_label(new.name, NAME_CHARS_MAX) {
        return Err(Error::field(
            "/name",
            "must be one line of 1 to 255 characters, at least one of them visible",
        ));
    }
    if new.email.is_some_and(|email| !is_email(email)) {
        return Err(Error::field("/email", "must be an email address of at most 255 characters"));
    }
    let user_id = Uuid::now_v7().simple().to_string();
    let set = ["name", "active", "kind", "login_name", "email"];
    let unset = USER_ATTRIBUTES.iter().copied().filter(|attribute| !set.contains(attribute)).collect();
    let record = UserRecord {
        name: Some(new.name.to_owned()),
        login_name: Some(username.shown.clone()),
        email: new.email.map(str::to_owned),
        unset,
        ..UserRecord::of(user_id.clone(), user_id)
    };
    match record.check() {
        Ok(()) => Ok(record),
        Err((attribute, reason)) => Err(Error::field(format!("/{attribute}"), reason)),
    }
}

/// Whether mail could be sent to it. It is not verified.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let is_whole =
        parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    is_whole && is_label(text, NAME_CHARS_MAX) && !text.contains(char::is_whitespace)
}

/// Of two registrations of one username at once, the second waits for the first and is refused. So is the login name of
/// another user of the directory: two people with one name are taken for each other.
async fn insert(tx: &Transaction<'_>, new: &Stored<'_>, record: &UserRecord) -> Result<()> {
    let Username { shown, folded, shape } = new.username;
    let taken = || Error::new(Kind::UsernameTaken, "").at("/username");
    if tx.one(sql!("accounts/registration/is_login_name"), &[folded]).await?.get(0) {
        return Err(taken());
    }
    let (code, code_ends) = new.code.clone().unzip();
    let changed_at = new.password_hash.map(|_| new.now);
    let roles = new.roles.names();
    let inserted = tx
        .run(
            sql!("accounts/registration/insert"),
            &[
                &new.user_id,
                shown,
                folded,
                shape,
                &new.password_hash,
                &roles,
                &new.now,
                &changed_at,
                &code,
                &code_ends,
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(taken());
    }
    let step = sync::change_users_in(tx, sync::ACCOUNT, &[record], new.now).await?;
    match step.refused.first() {
        None => Ok(()),
        Some((_, _, reason)) => {
            Err(Error::internal(format!("the directory refused a new account: {reason}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_has_two_parts() {
        for good in ["a@b", "zhang.san@corp.example", "张三@例子.中国"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
