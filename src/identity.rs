//! Authenticates the caller by a token, a signature, a trusted peer or a session of an account.
//!
//! Identity returns the user id and the roles. It does not use the directory. The statement that does the
//! work checks whether the user exists and is active.

pub mod account;
mod headers;
mod hmac;
mod jwt;
mod keys;
pub mod link;
mod peer;
mod role;
pub mod token;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use time::OffsetDateTime;

use crate::base::config::{IdentityMode, IdentityNames, IdentitySettings};
use crate::base::error::{Error, Kind, Result};
use crate::base::ids::{check_id, check_login_name};
use crate::base::store::Store;

pub use hmac::prune_replays;
pub use role::{Role, Roles};

/// An authenticated caller and their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user_id: String,
    pub roles: Roles,
    /// When the authentication expires. Long answers such as streams end then.
    pub until: Option<OffsetDateTime>,
    /// SHA-256 of the service's own token, if one was used. It can be revoked while an answer continues.
    pub token_hash: Option<Vec<u8>>,
    /// The session of an account, if one was used. It can end while an answer continues.
    pub session_id: Option<Vec<u8>>,
    /// The link for one callback's developer. A caller with a link has no roles, and reaches this callback alone.
    pub link: Option<link::Link>,
    /// Whether headers named the caller and the settings name none for roles.
    lacks_roles_header: bool,
}

impl Caller {
    /// A caller authenticated for this request only.
    fn named(user_id: String, roles: Roles) -> Self {
        let (until, token_hash, session_id, link) = (None, None, None, None);
        Self { user_id, roles, until, token_hash, session_id, link, lacks_roles_header: false }
    }

    /// Whether the caller is a program: it has a token of the service, or a role that only programs have.
    pub fn is_machine(&self) -> bool {
        self.token_hash.is_some() || self.roles.has(Role::Gateway) || self.roles.given(Role::Directory)
    }

    /// Refuses a caller without `role` (`Kind::Forbidden`). The detail says which roles the caller has.
    pub fn require(&self, role: Role) -> Result<()> {
        if self.roles.has(role) {
            return Ok(());
        }
        let given = self.roles.names().join(", ");
        let given = if given.is_empty() { "none" } else { &given };
        let unread = "; no header for roles is set: see the setting `identity_roles_header`";
        let unread = if self.lacks_roles_header { unread } else { "" };
        let role = role.name();
        Err(Error::new(
            Kind::Forbidden,
            format!("this requires the role {role}; the caller has {given}{unread}"),
        ))
    }
}

/// The parts of a request that identity uses. None of them is trusted yet.
#[derive(Debug, Clone, Copy)]
pub struct Claimed<'a> {
    /// The address of the socket, not of any header.
    pub peer: SocketAddr,
    pub method: &'a Method,
    /// Path and query exactly as in the request line.
    pub path_and_query: &'a str,
    pub headers: &'a HeaderMap,
    /// The whole body, if [`Identity::needs_body`].
    pub body: Option<&'a [u8]>,
}

/// Authentication of callers, created once at the start.
pub struct Identity {
    watch: headers::Watch,
    proof: Proof,
}

enum Proof {
    Jwt(jwt::Tokens),
    Hmac(hmac::Signatures),
    Headers(peer::Trust),
    Accounts(Arc<account::Tokens>),
}

impl Proof {
    fn new(settings: &IdentitySettings) -> Result<Self> {
        Ok(match settings.mode {
            IdentityMode::Jwt => Self::Jwt(jwt::Tokens::new(settings)?),
            IdentityMode::Hmac => Self::Hmac(hmac::Signatures::new(settings)?),
            IdentityMode::Headers => Self::Headers(peer::Trust::new(settings)?),
            IdentityMode::Accounts => Self::Accounts(Arc::new(account::Tokens::new(settings)?)),
        })
    }
}

impl Identity {
    /// Reads the settings of the chosen mode.
    ///
    /// # Errors
    /// `Kind::Internal` names a setting that would be insecure: an empty or open trust list, a peer outside
    /// loopback without a secret, a symmetric JWT algorithm, a short HMAC secret, or headers with two
    /// meanings.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        Ok(Self { watch: headers::Watch::new(settings)?, proof: Proof::new(settings)? })
    }

    /// What [`Identity::new`] would refuse: the first mistake of the headers and of the mode.
    pub fn mistakes(settings: &IdentitySettings) -> Vec<String> {
        let refused = [headers::Watch::new(settings).err(), Proof::new(settings).err()];
        refused.iter().flatten().map(|e| e.detail().to_owned()).collect()
    }

    /// The tokens of accounts, if users sign in to this service.
    pub fn account_tokens(&self) -> Option<Arc<account::Tokens>> {
        match &self.proof {
            Proof::Accounts(tokens) => Some(tokens.clone()),
            _ => None,
        }
    }

    /// Whether [`Claimed::body`] is required because a signature covers it. Everything else in the head is
    /// checked first, so that the service does not read bodies in vain.
    ///
    /// # Errors
    /// The same as [`Identity::caller`].
    pub fn needs_body(&self, claimed: &Claimed<'_>, now: OffsetDateTime) -> Result<bool> {
        let Proof::Hmac(signatures) = &self.proof else { return Ok(false) };
        let said = self.watch.read(claimed.headers)?;
        if said.bearer.is_some() {
            return Ok(false);
        }
        signatures.head(claimed.headers, said.first(), now).map(|_| true)
    }

    /// Authenticates the caller. The service's own bearer tokens work in every mode and from every peer.
    /// Another `Authorization` that the mode cannot check is refused. A header that names another user than
    /// the authentication is refused.
    ///
    /// # Errors
    /// `Kind::InvalidParameter` with the name of a header that no correct gateway sends.
    /// `Kind::Unauthenticated` if the authentication is missing or fails. `Kind::Unavailable` if it cannot be
    /// checked now.
    pub async fn caller(&self, store: &Store, claimed: Claimed<'_>, now: OffsetDateTime) -> Result<Caller> {
        let said = self.watch.read(claimed.headers)?;
        let caller = match (&self.proof, said.bearer) {
            (_, Some(bearer)) if bearer.starts_with(token::PREFIX) => token::find(store, bearer, now).await?,
            (_, Some(bearer)) if bearer.starts_with(link::PREFIX) => link::find(store, bearer).await?,
            (Proof::Jwt(tokens), Some(bearer)) => tokens.caller(bearer, now).await?,
            (Proof::Jwt(_), None) => return Err(refused("a bearer token is required")),
            (Proof::Accounts(tokens), Some(bearer)) => tokens.caller(store, bearer, now).await?,
            (Proof::Accounts(_), None) => {
                return Err(refused("sign in first: POST /users/login gives an access token"));
            }
            (_, Some(_)) => {
                return Err(refused(
                    "`Authorization` has a token that this identity mode cannot check; the gateway must remove it",
                ));
            }
            (Proof::Hmac(signatures), None) => {
                let proven = signatures.verify(&claimed, said.first(), now)?;
                hmac::claim(store, &proven).await?;
                proven.caller
            }
            (Proof::Headers(trust), None) => {
                trust.check(claimed.peer.ip(), claimed.headers)?;
                said.first().caller()?
            }
        };
        said.agree_with(&caller)?;
        Ok(caller)
    }
}

/// Authentication failed. The detail says why, without values of the request.
fn refused(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Unauthenticated, detail)
}

/// A wrong setting. The service does not start.
fn setting(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Internal, detail)
}

/// Checks the name that the authentication gives.
fn check_named(names: IdentityNames, name: &str) -> std::result::Result<(), &'static str> {
    match names {
        IdentityNames::UserId => check_id(name),
        IdentityNames::LoginName => check_login_name(name),
    }
}

#[cfg(test)]
mod tests;
