//! Sessions: begun by a sign-in, kept by refreshes, ended by their user, an administrator, or a token that is used twice.

use std::net::IpAddr;

use deadpool_postgres::Transaction;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;

use super::chain::{KEY_BYTES, RefreshToken, random};
use super::{Accounts, Grant, wrong_credentials};
use crate::base::audit::{self, Action, Entry};
use crate::base::config::SingleSession;
use crate::base::error::{Error, Kind, Result};
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::hex;
use crate::identity::account::{Subject, session_id};
use crate::sql;

/// A session to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewSession<'a> {
    pub user_id: &'a str,
    /// When the password was changed that was just checked.
    pub password_changed_at: Option<OffsetDateTime>,
    pub device: Option<&'a str>,
    pub address: IpAddr,
    pub now: OffsetDateTime,
}

/// A session as its user sees it.
#[derive(Debug)]
pub struct Listed {
    pub session_id: String,
    pub device: Option<String>,
    pub address: String,
    pub created_at: OffsetDateTime,
    pub last_seen_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// What an exchange of a refresh token came to.
enum Exchange {
    Given {
        user_id: String,
        generation: i32,
        next: RefreshToken,
    },
    /// The session has ended because of it.
    UsedTwice,
}

impl Accounts {
    pub(super) async fn begin(&self, new: NewSession<'_>) -> Result<Grant> {
        let key = random::<KEY_BYTES>()?;
        let token = RefreshToken::first(random()?, &key)?;
        retrying(|| self.insert(new, &token, &key)).await?;
        self.grant(new.user_id, &token, 0, new.now).await
    }

    async fn insert(&self, new: NewSession<'_>, token: &RefreshToken, key: &[u8]) -> Result<()> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let locked = tx.opt(sql!("accounts/session/lock_account"), &[&new.user_id, &new.now]).await?;
        // The password was changed, or the account suspended or cancelled, while it was checked.
        let is_same = |row: &Row| {
            row.get::<_, Option<OffsetDateTime>>("password_changed_at") == new.password_changed_at
        };
        locked.filter(is_same).ok_or_else(wrong_credentials)?;
        match self.settings.single_session {
            SingleSession::Off => {}
            SingleSession::Replace => {
                tx.run(sql!("accounts/session/end_others"), &[&new.user_id, &None::<&[u8]>]).await?;
            }
            SingleSession::Refuse => self.refuse_second(&tx, new).await?,
        }
        let expires_at = new.now + self.session_life();
        let address = new.address.to_string();
        tx.run(
            sql!("accounts/session/insert"),
            &[
                &token.session_id(),
                &new.user_id,
                &key,
                &token.hash(),
                &new.now,
                &expires_at,
                &new.device,
                &address,
            ],
        )
        .await?;
        let most = i64::from(self.settings.sessions_max);
        tx.run(sql!("accounts/session/trim"), &[&new.user_id, &most]).await?;
        Ok(tx.commit().await?)
    }

    /// Sessions that are not in use any more end: a client that crashed does not keep its user out.
    async fn refuse_second(&self, tx: &Transaction<'_>, new: NewSession<'_>) -> Result<()> {
        let idle = Duration::try_from(self.settings.single_session_idle).unwrap_or(Duration::DAY);
        let in_use =
            tx.one(sql!("accounts/session/in_use"), &[&new.user_id, &(new.now - idle), &new.now]).await?;
        if in_use.get::<_, i64>("sessions") > 0 {
            let detail = "sign out there first, or wait until that session is not in use any more";
            return Err(Error::new(Kind::AlreadyOnline, detail));
        }
        tx.run(sql!("accounts/session/end_others"), &[&new.user_id, &None::<&[u8]>]).await?;
        Ok(())
    }

    async fn grant(
        &self,
        user_id: &str,
        token: &RefreshToken,
        generation: i32,
        now: OffsetDateTime,
    ) -> Result<Grant> {
        let subject = Subject { user_id, session_id: token.session_id(), generation };
        let access = self.tokens.issue(&self.store, subject, now).await?;
        let session_id = hex(token.session_id());
        Ok(Grant { user_id: user_id.to_owned(), session_id, access, refresh: token.show() })
    }

    /// Exchanges a refresh token for a new one and a new access token.
    ///
    /// The token before the valid one gives the same new token again, for a short time, and as long as nobody has used the
    /// access token that came with it: the answer may have been lost. A token that is ahead of the database is valid: the
    /// database was restored, or a failover lost its last commits. Every other token that was given out before ends the
    /// session, because two parties have it (RFC 9700 §4.14.2).
    ///
    /// # Errors
    /// `Kind::Unauthenticated` if the token is unknown, or its session has ended.
    pub async fn refresh(&self, token: &str, now: OffsetDateTime) -> Result<Grant> {
        let unknown = || Error::new(Kind::Unauthenticated, "the session has ended: sign in again");
        let token = RefreshToken::parse(token).ok_or_else(unknown)?;
        match retrying(|| self.exchange(&token, now)).await?.ok_or_else(unknown)? {
            Exchange::Given { user_id, generation, next } => {
                self.grant(&user_id, &next, generation, now).await
            }
            Exchange::UsedTwice => {
                tracing::warn!(
                    session_id = hex(token.session_id()),
                    "a refresh token was used twice: its session has ended"
                );
                Err(unknown())
            }
        }
    }

    /// `None`: there is no such session, or it never gave out this token.
    async fn exchange(&self, token: &RefreshToken, now: OffsetDateTime) -> Result<Option<Exchange>> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let row = tx.opt(sql!("accounts/session/lock"), &[&token.session_id(), &now]).await?;
        let Some(row) = row.filter(|row| token.is_of(row.get("chain_key"))) else { return Ok(None) };
        let (user_id, generation): (String, i32) = (row.get("user_id"), row.get("generation"));
        let (next, hash) = (token.next(row.get("chain_key"))?, token.hash());
        if row.get::<_, &[u8]>("refresh_hash") == hash || token.generation() > generation {
            self.rotate(&tx, token, &next, now).await?;
            tx.commit().await?;
            return Ok(Some(Exchange::Given { user_id, generation: next.generation(), next }));
        }
        if row.get::<_, Option<&[u8]>>("previous_hash") == Some(hash.as_slice()) && self.may_repeat(&row, now)
        {
            return Ok(Some(Exchange::Given { user_id, generation, next }));
        }
        tx.run(sql!("accounts/session/end"), &[&user_id, &token.session_id()]).await?;
        let filter = json!({"session_id": hex(token.session_id())});
        audit::append_with(&tx, Entry::change(Action::SessionReused, filter, (&user_id, now))).await?;
        tx.commit().await?;
        Ok(Some(Exchange::UsedTwice))
    }

    async fn rotate(
        &self,
        tx: &Transaction<'_>,
        token: &RefreshToken,
        next: &RefreshToken,
        now: OffsetDateTime,
    ) -> Result<()> {
        let expires_at = now + self.session_life();
        let (id, hash, before) = (token.session_id(), next.hash(), token.hash());
        tx.run(
            sql!("accounts/session/rotate"),
            &[&id, &hash, &now, &expires_at, &before, &next.generation()],
        )
        .await?;
        Ok(())
    }

    /// Whether the last exchange may be answered again.
    fn may_repeat(&self, row: &Row, now: OffsetDateTime) -> bool {
        let grace = Duration::try_from(self.settings.refresh_grace).unwrap_or_default();
        let was_lost = row.get::<_, i32>("seen_generation") < row.get("generation");
        was_lost || now - row.get::<_, OffsetDateTime>("rotated_at") < grace
    }

    /// Ends the session of a refresh token. A session that has ended already is no error. Returns whether one has ended now.
    pub async fn sign_out(&self, token: &str, now: OffsetDateTime) -> Result<bool> {
        let Some(token) = RefreshToken::parse(token) else { return Ok(false) };
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let row = tx.opt(sql!("accounts/session/lock"), &[&token.session_id(), &now]).await?;
        let Some(row) = row.filter(|row| token.is_of(row.get("chain_key"))) else { return Ok(false) };
        tx.run(sql!("accounts/session/end"), &[&row.get::<_, &str>("user_id"), &token.session_id()]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The sessions of a user, the newest first.
    pub async fn sessions(&self, user_id: &str, now: OffsetDateTime) -> Result<Vec<Listed>> {
        let rows = self.store.all(sql!("accounts/session/list"), &[&user_id, &now]).await?;
        let listed = |row: &Row| Listed {
            session_id: hex(row.get("session_id")),
            device: row.get("device"),
            address: row.get("address"),
            created_at: row.get("created_at"),
            last_seen_at: row.get("last_seen_at"),
            expires_at: row.get("expires_at"),
        };
        Ok(rows.iter().map(listed).collect())
    }

    /// Ends all sessions of a user but this one.
    pub async fn end_others(&self, user_id: &str, but: Option<&[u8]>) -> Result<()> {
        end_others(&self.store, user_id, but).await
    }

    /// Ends a session of a user. Its access tokens are refused from now on, on every replica.
    ///
    /// # Errors
    /// `Kind::NotFound` if the user has no such session.
    pub async fn end_session(&self, user_id: &str, id: &str) -> Result<()> {
        let missing = || Error::not_found("no such session");
        let id = session_id(id).ok_or_else(missing)?;
        match self.store.run(sql!("accounts/session/end"), &[&user_id, &id]).await? {
            0 => Err(missing()),
            _ => Ok(()),
        }
    }
}

/// Ends all sessions of a user but one.
pub(super) async fn end_others(client: &impl Statements, user_id: &str, but: Option<&[u8]>) -> Result<()> {
    client.run(sql!("accounts/session/end_others"), &[&user_id, &but]).await?;
    Ok(())
}

/// Deletes sessions that have expired.
pub(super) async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("accounts/session/prune"), &[&now, &most]).await
}
