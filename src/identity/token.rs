//! The service's own bearer tokens, for machines: applications, the HR service, the gateway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Caller, Roles, refused};
use crate::base::config::Secret;
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::store::{Statements, Store};
use crate::base::text::is_label;
use crate::sql;

/// Distinguishes the service's tokens from JWTs, and lets secret scanners find a leaked one.
pub const PREFIX: &str = "impg_";
/// 256 random bits in base64url (RFC 4648 §5).
const SECRET_CHARS: usize = 43;
const NAME_MAX_CHARS: usize = 128;
/// Most tokens in one list.
const LIST_MAX: i64 = 1_000;

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

/// Creates a token. The token is shown once, and only its SHA-256 is stored. A token of 256 random bits
/// cannot be found from its hash.
///
/// # Errors
/// `Kind::InvalidField` for a token that could never be used.
pub async fn create(store: &Store, new: &NewToken<'_>, now: OffsetDateTime) -> Result<Secret> {
    new.check(now)?;
    let token = random()?;
    let roles = new.roles.names();
    store
        .run(
            sql!("identity/token/create_token"),
            &[&hash(&token), &new.name, &new.user_id, &roles, &now, &new.expires_at],
        )
        .await?;
    Ok(token.into())
}

/// The caller that `token` stands for.
///
/// # Errors
/// `Kind::Unauthenticated` if it is unknown, revoked or expired. All three look the same.
pub async fn find(store: &Store, token: &str, now: OffsetDateTime) -> Result<Caller> {
    let unknown = || refused("the token is unknown, revoked or expired");
    if token.len() != PREFIX.len() + SECRET_CHARS {
        return Err(unknown());
    }
    let hash = hash(token);
    let row = store.opt(sql!("identity/token/find_token"), &[&hash, &now]).await?.ok_or_else(unknown)?;
    Ok(Caller {
        until: Some(row.get("expires_at")),
        token_hash: Some(hash),
        ..Caller::named(row.get("user_id"), Roles::named(row.get::<_, Vec<&str>>("roles")))
    })
}

/// All tokens, oldest first, including expired ones. At most a thousand.
pub async fn list(store: &Store) -> Result<Vec<Listed>> {
    let rows = store.all(sql!("identity/token/list_tokens"), &[&LIST_MAX]).await?;
    let listed = |row: &tokio_postgres::Row| Listed {
        token_id: row.get("token_id"),
        name: row.get("name"),
        user_id: row.get("user_id"),
        roles: Roles::named(row.get::<_, Vec<&str>>("roles")),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
    };
    Ok(rows.iter().map(listed).collect())
}

/// Revokes a token. It takes effect at once on all replicas, because none caches tokens.
///
/// # Errors
/// `Kind::NotFound` if no token has this id.
pub async fn revoke(store: &Store, token_id: &str) -> Result<()> {
    match store.run(sql!("identity/token/revoke_token"), &[&token_id]).await? {
        0 => Err(Error::not_found("no such token")),
        _ => Ok(()),
    }
}

fn random() -> Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|e| Error::internal(e.to_string()))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
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
    fn a_token_is_256_random_bits_and_shows_its_origin() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + SECRET_CHARS);
        assert_eq!(URL_SAFE_NO_PAD.decode(one.strip_prefix(PREFIX).unwrap()).unwrap().len(), 32);
        assert_eq!(hash(&one).len(), 32);
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
