//! What users do with their own account: change the password, set one with a one-time code, cancel.

use serde_json::json;
use time::OffsetDateTime;

use super::hashing::Who;
use super::{Accounts, admin, password, session, username, wrong_credentials};
use crate::base::audit::{self, Action, Entry};
use crate::base::bearer;
use crate::base::error::{Error, Result};
use crate::base::store::{Statements, retrying};
use crate::sql;
use crate::sync::{self, UserRecord};

/// What a cancelled account keeps: history shows the name.
const KEPT: [&str; 7] =
    ["name", "head_icon", "kind", "employee_number", "title", "manager", "department_ids"];

/// A password to set by a one-time code.
#[derive(Debug, Clone, Copy)]
pub struct NewPassword<'a> {
    pub username: &'a str,
    pub code: &'a str,
    pub password: &'a str,
}

impl Accounts {
    /// Changes the password of a user, and ends all their sessions but this one.
    ///
    /// # Errors
    /// `Kind::WrongCredentials` if `password` is not theirs; `Kind::InvalidField` for the new one.
    pub async fn change_password(
        &self,
        user_id: &str,
        (password, new): (&str, &str),
        session_id: Option<&[u8]>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let row = self.confirm(user_id, password, now).await?;
        let new = password::chosen(&self.settings, new, row.get("username"), "/new_password")?;
        let hash = self.hasher.hash(new, Who::Known).await?;
        let held: Option<&str> = row.get("password_hash");
        retrying(|| async {
            let mut client = self.store.client().await?;
            let tx = client.transaction().await?;
            // Another change may have come first.
            if tx.run(sql!("accounts/own/change_password"), &[&user_id, &held, &hash, &now]).await? == 0 {
                return Err(wrong_credentials());
            }
            session::end_others(&tx, user_id, session_id).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Sets a password with a one-time code, and ends all sessions of the user. The code is used up.
    ///
    /// # Errors
    /// `Kind::WrongCredentials` for a wrong username or code.
    pub async fn reset_password(&self, new: NewPassword<'_>, now: OffsetDateTime) -> Result<()> {
        let (name, code) = (username::typed(new.username).unwrap_or_default(), bearer::hash(new.code));
        let row = self.store.opt(sql!("accounts/own/with_code"), &[&name, &code, &now]).await?;
        let row = row.ok_or_else(wrong_credentials)?;
        let (user_id, shown): (&str, &str) = (row.get("user_id"), row.get("username"));
        let password = password::chosen(&self.settings, new.password, shown, "/password")?;
        let hash = self.hasher.hash(password, Who::Known).await?;
        retrying(|| async {
            let mut client = self.store.client().await?;
            let tx = client.transaction().await?;
            if tx.run(sql!("accounts/own/use_code"), &[&user_id, &code, &hash, &now]).await? == 0 {
                return Err(wrong_credentials());
            }
            session::end_others(&tx, user_id, None).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Cancels the account of a user: the sessions end, the username is free, and the user leaves as others leave, out of
    /// all groups. The name stays in history.
    ///
    /// # Errors
    /// `Kind::WrongCredentials` if `password` is not theirs. `Kind::Conflict` for the last administrator.
    pub async fn cancel(&self, user_id: &str, password: &str, now: OffsetDateTime) -> Result<()> {
        self.confirm(user_id, password, now).await?;
        let record = UserRecord {
            active: false,
            gone: true,
            unset: KEPT.to_vec(),
            ..UserRecord::of(user_id, user_id)
        };
        retrying(|| async {
            let mut client = self.store.client().await?;
            let tx = client.transaction().await?;
            admin::keep_one(&tx, user_id, now).await?;
            if tx.run(sql!("accounts/own/delete"), &[&user_id]).await? == 0 {
                return Err(Error::not_found("no such account"));
            }
            let step = sync::change_users_in(&tx, sync::API, &[&record], now).await?;
            if let Some((_, _, reason)) = step.refused.first() {
                return Err(Error::internal(format!("the directory refused a cancelled account: {reason}")));
            }
            let filter = json!({"user_id": user_id});
            audit::append_with(&tx, Entry::change(Action::AccountCancelled, filter, (user_id, now))).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}
