//! A sign-in by username and password.
//!
//! A wrong username and a wrong password have the same answer after the same work. Attempts are counted before the work: for
//! the username, and apart from it for each address from which the user has a session, so that guesses from elsewhere do not
//! keep the user out.

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::Row;

use super::hashing::Who;
use super::session::NewSession;
use super::{Accounts, Grant, password, username, wrong_credentials};
use crate::base::error::{Error, Kind, Result};
use crate::base::store::Statements;
use crate::base::text::is_label;
use crate::sql;

/// Longest name of a device.
const DEVICE_CHARS_MAX: usize = 200;

/// What a client signs in with.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    pub username: &'a str,
    pub password: &'a str,
    /// What the client calls itself, for the user's list of sessions.
    pub device: Option<&'a str>,
    pub address: IpAddr,
}

impl Accounts {
    /// # Errors
    /// `Kind::WrongCredentials`; `Kind::AccountSuspended`, which only the right password learns; `Kind::RateLimited`;
    /// `Kind::Unavailable` if too many passwords wait to be checked; `Kind::AlreadyOnline` by setting.
    pub async fn sign_in(&self, with: SignIn<'_>, now: OffsetDateTime) -> Result<Grant> {
        if with.device.is_some_and(|device| !is_label(device, DEVICE_CHARS_MAX)) {
            return Err(Error::field("/device", "must be one line of 1 to 200 characters"));
        }
        let password = password::normalized(&self.settings, with.password, "/password")?;
        let name = username::typed(with.username).unwrap_or_default();
        let address = with.address.to_string();
        let row = self.store.opt(sql!("accounts/sign_in/find"), &[&name, &address]).await?;
        let row = self.checked(row, (&name, &address), &password, now).await?;
        let suspended: Option<OffsetDateTime> = row.get("suspended_until");
        if let Some(until) = suspended.filter(|until| *until > now) {
            let reason: Option<&str> = row.get("suspended_reason");
            let until = until.format(&Rfc3339).unwrap_or_default();
            let detail = format!("the account is suspended until {until}: {}", reason.unwrap_or_default());
            return Err(Error::new(Kind::AccountSuspended, detail));
        }
        let user_id: &str = row.get("user_id");
        self.renew_hash(user_id, &row, password).await?;
        self.begin(NewSession {
            user_id,
            password_changed_at: row.get("password_changed_at"),
            device: with.device,
            address: with.address,
            now,
        })
        .await
    }

    /// The row of an account whose password this is. It costs one attempt and one hash, also for a name without an account.
    async fn checked(
        &self,
        row: Option<Row>,
        (name, address): (&str, &str),
        password: &str,
        now: OffsetDateTime,
    ) -> Result<Row> {
        let is_familiar = row.as_ref().is_some_and(|row| row.get("is_familiar"));
        let key = (name, if is_familiar { address } else { "" });
        self.by_name.take(key, now)?;
        let hash = row.as_ref().and_then(|row| row.get("password_hash"));
        let who = if is_familiar { Who::Known } else { Who::Stranger };
        let checked = self.hasher.verify(password.to_owned(), hash, who).await;
        // An attempt counts as wrong until it is known to be right, so that many at once are not more guesses. One that
        // was not looked at does not count.
        if checked.as_ref().is_ok_and(|is_right| *is_right) || checked.is_err() {
            self.by_name.give_back(key);
        }
        row.filter(|row| row.get("active"))
            .filter(|_| checked.as_ref().is_ok_and(|right| *right))
            .map_or_else(|| Err(checked.err().unwrap_or_else(wrong_credentials)), Ok)
    }

    /// Hashes a password anew whose hash has other parameters than the settings.
    async fn renew_hash(&self, user_id: &str, row: &Row, password: String) -> Result<()> {
        let held: Option<&str> = row.get("password_hash");
        let Some(held) = held.filter(|held| self.hasher.is_outdated(held)) else { return Ok(()) };
        let hash = self.hasher.hash(password, Who::Known).await?;
        self.store.run(sql!("accounts/sign_in/renew_hash"), &[&user_id, &held, &hash]).await?;
        Ok(())
    }

    /// Checks the password of a user who is signed in, before something that a stolen token must not do.
    ///
    /// # Errors
    /// `Kind::WrongCredentials`, `Kind::RateLimited`, `Kind::Unavailable`.
    pub(super) async fn confirm(&self, user_id: &str, password: &str, now: OffsetDateTime) -> Result<Row> {
        let password = password::normalized(&self.settings, password, "/password")?;
        let row = self.store.opt(sql!("accounts/sign_in/own"), &[&user_id]).await?;
        // A limit of its own: a stolen access token must not keep its user from signing in.
        self.checked(row, (user_id, "confirm"), &password, now).await
    }
}
