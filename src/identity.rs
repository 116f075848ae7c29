//! Who is calling: proven by a token, a signature or a trusted peer, never by a bare claim.
//!
//! Identity says who calls and with what roles. It knows nothing of the directory: whether that
//! user exists and is active is decided where it matters, in the statement that does the work.

mod headers;
mod hmac;
mod jwt;
mod keys;
mod peer;
mod role;
pub mod token;

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderMap, Method};
use time::OffsetDateTime;

use crate::config::{Config, IdentityMode, IdentityNames};
use crate::error::{Error, Kind, Result};
use crate::ids::{check_id, check_login_name};
use crate::store::Store;

pub use hmac::prune_replays;
pub use role::{Role, Roles};

/// Somebody whose identity was proven, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub user_id: String,
    pub roles: Roles,
    /// When the proof ends by itself, for what goes on after the answer has begun.
    pub until: Option<OffsetDateTime>,
    /// SHA-256 of the token of ours that proved it, which may be revoked meanwhile.
    pub token_hash: Option<Vec<u8>>,
}

impl Caller {
    /// Proven for this request; what the proof says beyond it comes on top.
    fn named(user_id: String, roles: Roles) -> Self {
        Self { user_id, roles, until: None, token_hash: None }
    }

    /// Refuses a caller without `role` (`Kind::Forbidden`).
    pub fn require(&self, role: Role) -> Result<()> {
        if self.roles.has(role) {
            return Ok(());
        }
        Err(Error::new(Kind::Forbidden, format!("this needs the role {}", role.name())))
    }
}

/// A request as far as identity cares: nothing in it is believed yet.
#[derive(Debug, Clone, Copy)]
pub struct Claimed<'a> {
    /// The socket's own peer, not what any header says of it.
    pub peer: SocketAddr,
    pub method: &'a Method,
    /// Path and query as they stood in the request line.
    pub path_and_query: &'a str,
    pub headers: &'a HeaderMap,
    /// The whole body, if [`Identity::needs_body`].
    pub body: Option<&'a [u8]>,
}

/// How callers prove themselves; made once at the start.
pub struct Identity {
    watch: headers::Watch,
    proof: Proof,
}

enum Proof {
    Jwt(jwt::Tokens),
    Hmac(hmac::Signatures),
    Headers(peer::Trust),
}

impl Identity {
    /// Reads the settings of the chosen mode.
    ///
    /// # Errors
    /// `Kind::Internal` naming the setting, for every one that would leave a hole: an open or
    /// empty trust list, a peer off loopback without a secret, a symmetric JWT algorithm, a
    /// short HMAC secret, headers that cannot be told apart.
    pub fn new(config: &Config) -> Result<Self> {
        let proof = match config.identity_mode {
            IdentityMode::Jwt => Proof::Jwt(jwt::Tokens::new(config)?),
            IdentityMode::Hmac => Proof::Hmac(hmac::Signatures::new(config)?),
            IdentityMode::Headers => Proof::Headers(peer::Trust::new(config)?),
        };
        Ok(Self { watch: headers::Watch::new(config)?, proof })
    }

    /// Whether [`Claimed::body`] must be there: the proof covers it. All else that the head says is
    /// checked by then, so that a body is read only for what may turn out to be proven.
    ///
    /// # Errors
    /// As of [`Identity::caller`].
    pub fn needs_body(&self, claimed: &Claimed<'_>, now: OffsetDateTime) -> Result<bool> {
        let Proof::Hmac(signatures) = &self.proof else { return Ok(false) };
        let said = self.watch.read(claimed.headers)?;
        if said.bearer.is_some() {
            return Ok(false);
        }
        signatures.head(claimed.headers, said.first(), now).map(|_| true)
    }

    /// Proves who is calling. A bearer token of ours is a proof in every mode and from every
    /// peer; anything else in `Authorization` that the mode cannot check is refused, and so is
    /// a header that names somebody else than the proof.
    ///
    /// # Errors
    /// `Kind::InvalidParameter` with the header's name for headers no honest gateway sends,
    /// `Kind::Unauthenticated` when the proof is missing or fails, `Kind::Unavailable` when it
    /// cannot be checked now.
    pub async fn caller(&self, store: &Store, claimed: Claimed<'_>, now: OffsetDateTime) -> Result<Caller> {
        let said = self.watch.read(claimed.headers)?;
        let caller = match (&self.proof, said.bearer) {
            (_, Some(bearer)) if bearer.starts_with(token::PREFIX) => token::find(store, bearer, now).await?,
            (Proof::Jwt(tokens), Some(bearer)) => tokens.caller(bearer, now).await?,
            (Proof::Jwt(_), None) => return Err(refused("a bearer token is needed")),
            (_, Some(_)) => {
                return Err(refused(
                    "Authorization carries a token that this mode cannot check; the gateway must not pass it on",
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

/// The caller is not proven, and why. Nothing of what they sent is repeated.
fn refused(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Unauthenticated, detail)
}

/// A setting that will not do: the service does not start.
fn setting(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Internal, detail)
}

/// What is wrong with the name that a proof gives, if anything.
fn check_named(names: IdentityNames, name: &str) -> std::result::Result<(), &'static str> {
    match names {
        IdentityNames::UserId => check_id(name),
        IdentityNames::LoginName => check_login_name(name),
    }
}

#[cfg(test)]
mod tests;
