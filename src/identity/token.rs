//! The service's own bearer tokens, for machines: applications, the HR service, the gateway.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Caller, Roles, refused};
use crate::base::audit::{self, Action, Entry};
use crate::base::bearer;
use crate::base::claim::{self, Claim};
use crate::base::config::Secret;
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::check_id;
use crate::base::store::{Statements, Store, retrying};
use crate::base::text::is_label;
use crate::sql;

/// Distinguishes the service's tokens from JWTs, and lets secret scanners find a leaked one.
pub const PREFIX: &str = "impg_";
const NAME_MAX_CHARS: usize = 128;
/// Most tokens in one list. The API makes no more that are valid at once.
const LIST_MAX: i64 = 1_000;
/// The longest life of a token that the API makes, in days.
const DAYS_MAX: u32 = 3_650;
/// How long a token is kept after it has expired, so that an administrator sees why it is refused.
const EXPIRED_KEEP: Duration = Duration::days(30);
/// Bytes of the hash that are the token's id.
const ID_BYTES: usize = 8;

/// A token to create.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// The purpose of the token, for administrators.
    pub name: &'a str,
    pub user_id: &'a str,
    /// The exact roles. Unlike a user, a machine has the role `user` only if it is given.
    pub roles: Roles,
    pub expires_at: OffsetDateTime,
}

impl NewToken<'_> {
    fn check(&self, now: OffsetDateTime) -> Result<()> {
        check_id(self.user_id).map_err(|reason| Error::field("/user_id", reason))?;
        if !is_label(self.name, NAME_MAX_CHARS) {
            return Err(Error::field(
                "/name",
                "the name must be one line of 1 to 128 characters, at least one of them visible",
            ));
        }
        if self.roles.is_empty() {
            return Err(Error::field("/roles", "a token needs at least one role"));
        }
        if self.expires_at <= now {
            return Err(Error::field("/expires_at", "the expiry must be in the future"));
        }
        Ok(())
    }
}

/// A token that a caller wishes for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub name: &'a str,
    pub user_id: &'a str,
    pub roles: Roles,
    pub days: u32,
}

/// Who makes or revokes a token over the API, when, and under which client id.
#[derive(Debug, Clone, Copy)]
pub struct Issuer<'a> {
    pub actor: &'a str,
    pub now: OffsetDateTime,
    pub client_id: Option<&'a str>,
}

/// A token that was made over the API.
#[derive(Debug)]
pub struct Issued {
    pub listed: Listed,
    /// `None` for a repeat with the same client id, because only the hash is stored.
    pub secret: Option<Secret>,
}

/// A token in a list. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub token_id: String,
    pub name: String,
    pub user_id: String,
    pub roles: Roles,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl Listed {
    fn of_row(row: &tokio_postgres::Row) -> Self {
        Self {
            token_id: row.get("token_id"),
            name: row.get("name"),
            user_id: row.get("user_id"),
            roles: Roles::named(row.get::<_, Vec<&str>>("roles")),
            created_at: row.get("created_at"),
            expires_at: row.get("expires_at"),
        }
    }
}

/// Creates a token for a command on the server, and writes that into the audit. The token is shown once, and only its
/// SHA-256 is stored. A token of 256 random bits cannot be found from its hash.
///
/// # Errors
/// `Kind::InvalidField` for a token that could never be used. `Kind::Conflict` if there are too many.
pub async fn create(store: &Store, new: &NewToken<'_>, now: OffsetDateTime) -> Result<Secret> {
    new.check(now)?;
    let token = bearer::mint(PREFIX)?;
    retrying(|| insert(store, new, &token, (None, &[]), on_server(now))).await?;
    Ok(token.into())
}

/// The caller that `token` stands for.
///
/// # Errors
/// `Kind::Unauthenticated` if it is unknown, revoked or expired. All three look the same.
pub async fn find(store: &Store, token: &str, now: OffsetDateTime) -> Result<Caller> {
    let unknown = || refused("the token is unknown, revoked or expired");
    if !bearer::is_formed(PREFIX, token) {
        return Err(unknown());
    }
    let hash = bearer::hash(token);
    let row = store.opt(sql!("identity/token/find_token"), &[&hash, &now]).await?.ok_or_else(unknown)?;
    Ok(Caller {
        until: Some(row.get("expires_at")),
        token_hash: Some(hash),
        ..Caller::named(row.get("user_id"), Roles::named(row.get::<_, Vec<&str>>("roles")))
    })
}

/// The valid tokens, newest first, then those that have expired of late. At most a thousand.
pub async fn list(store: &Store) -> Result<Vec<Listed>> {
    let rows = store.all(sql!("identity/token/list_tokens"), &[&None::<&str>, &LIST_MAX]).await?;
    Ok(rows.iter().map(Listed::of_row).collect())
}

/// Creates a token for a caller of the API, and writes that into the audit. A repeat with the same client id creates
/// nothing, and finds the token without its secret.
///
/// # Errors
/// `Kind::InvalidField` for a token that could never be used. `Kind::Conflict` if there are too many.
pub async fn issue(store: &Store, wish: &Wish<'_>, by: Issuer<'_>) -> Result<Issued> {
    let Wish { name, user_id, roles, days } = *wish;
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Error::field("/days", format!("must be 1 to {DAYS_MAX}")));
    }
    let new = NewToken { name, user_id, roles, expires_at: by.now + Duration::days(days.into()) };
    new.check(by.now)?;
    let digest = claim::digest(&(name, user_id, roles.names(), days))?;
    let claim = by.client_id.map(|client_id| Claim { caller: by.actor, call: "token", client_id });
    if let Some(made) = made_before(store, claim, &digest).await? {
        return Ok(made);
    }
    let token = bearer::mint(PREFIX)?;
    match retrying(|| insert(store, &new, &token, (claim, &digest), by)).await? {
        Some(listed) => Ok(Issued { listed, secret: Some(token.into()) }),
        None => made_before(store, claim, &digest).await?.ok_or_else(claim::forgotten),
    }
}

/// `None`: a concurrent call has used the same client id.
async fn insert(
    store: &Store,
    new: &NewToken<'_>,
    token: &str,
    (claim, digest): (Option<Claim<'_>>, &[u8]),
    by: Issuer<'_>,
) -> Result<Option<Listed>> {
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    if tx.one(sql!("identity/token/count_tokens"), &[&by.now]).await?.get::<_, i64>("tokens") >= LIST_MAX {
        return Err(Error::new(Kind::Conflict, "1,000 tokens are valid already: revoke one first"));
    }
    let (hash, roles) = (bearer::hash(token), new.roles.names());
    tx.run(
        sql!("identity/token/create_token"),
        &[&hash, &new.name, &new.user_id, &roles, &by.now, &new.expires_at],
    )
    .await?;
    let id: [u8; ID_BYTES] = std::array::from_fn(|place| hash[place]);
    let token_id = named(i64::from_be_bytes(id));
    let filter = json!({
        "token_id": token_id, "name": new.name, "user_id": new.user_id, "roles": roles,
        "expires_at": new.expires_at.unix_timestamp(),
    });
    note(&tx, Action::TokenCreated, filter, by).await?;
    if let Some(claim) = claim
        && !claim.keep(&tx, digest, (i64::from_be_bytes(id), by.now)).await?
    {
        return Ok(None);
    }
    tx.commit().await?;
    Ok(Some(Listed {
        token_id,
        name: new.name.to_owned(),
        user_id: new.user_id.to_owned(),
        roles: new.roles,
        created_at: by.now,
        expires_at: new.expires_at,
    }))
}

/// The token that was created under the same client id.
async fn made_before(store: &Store, claim: Option<Claim<'_>>, digest: &[u8]) -> Result<Option<Issued>> {
    let Some(claim) = claim else { return Ok(None) };
    let client = store.client().await?;
    let Some(kept) = claim.kept(&client).await? else { return Ok(None) };
    let token_id = named(kept.of(digest)?);
    let row = client.opt(sql!("identity/token/list_tokens"), &[&Some(&token_id), &1_i64]).await?;
    let row = row.ok_or_else(claim::gone)?;
    Ok(Some(Issued { listed: Listed::of_row(&row), secret: None }))
}

/// The id of a token from the first bytes of its hash.
fn named(first: i64) -> String {
    format!("{first:016x}")
}

/// Revokes a token for a caller of the API, and writes that into the audit. It takes effect at once on all replicas,
/// because none caches tokens.
///
/// # Errors
/// `Kind::NotFound` if no token has this id.
pub async fn withdraw(store: &Store, token_id: &str, by: Issuer<'_>) -> Result<()> {
    retrying(|| async {
        let mut client = store.client().await?;
        let tx = client.transaction().await?;
        let row = tx.opt(sql!("identity/token/revoke_token"), &[&token_id]).await?;
        let row = row.ok_or_else(|| Error::not_found("no such token"))?;
        let (name, user_id): (&str, &str) = (row.get("name"), row.get("user_id"));
        let roles: Vec<&str> = row.get("roles");
        let filter = json!({"token_id": token_id, "name": name, "user_id": user_id, "roles": roles});
        note(&tx, Action::TokenRevoked, filter, by).await?;
        Ok(tx.commit().await?)
    })
    .await
}

async fn note(
    client: &impl Statements,
    action: Action,
    filter: serde_json::Value,
    by: Issuer<'_>,
) -> Result<()> {
    audit::append_with(client, Entry::change(action, filter, (by.actor, by.now))).await
}

/// Revokes a token for a command on the server, and writes that into the audit.
///
/// # Errors
/// `Kind::NotFound` if no token has this id.
pub async fn revoke(store: &Store, token_id: &str, now: OffsetDateTime) -> Result<()> {
    withdraw(store, token_id, on_server(now)).await
}

/// A command on the server. No user can have this id.
fn on_server(now: OffsetDateTime) -> Issuer<'static> {
    Issuer { actor: ".server", now, client_id: None }
}

/// Deletes a batch of tokens that have expired long ago. Returns how many.
pub async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("identity/token/prune_tokens"), &[&(now - EXPIRED_KEEP), &most]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;
    use crate::identity::Role;
    use time::Duration;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn new() -> NewToken<'static> {
        let roles = Roles::default().with(Role::Gateway);
        NewToken { name: "gateway", user_id: "gw", roles, expires_at: NOW + Duration::HOUR }
    }

    #[test]
    fn the_id_of_a_token_is_16_hexadecimal_digits() {
        assert_eq!((named(-1), named(1)), ("ffffffffffffffff".to_owned(), "0000000000000001".to_owned()));
    }

    #[test]
    fn a_token_that_could_never_be_used_is_not_made() {
        assert!(new().check(NOW).is_ok());
        let broken = [
            NewToken { name: "", ..new() },
            NewToken { name: "two\nlines", ..new() },
            NewToken { name: "\u{200b}", ..new() },
            NewToken { user_id: "a,b", ..new() },
            NewToken { user_id: "me", ..new() },
            NewToken { user_id: "svc/hr", ..new() },
            NewToken { roles: Roles::default(), ..new() },
            NewToken { expires_at: NOW, ..new() },
        ];
        for token in broken {
            assert_eq!(token.check(NOW).unwrap_err().kind, Kind::InvalidField, "{token:?}");
        }
    }
}
