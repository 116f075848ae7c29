//! Accounts: people who sign in to this service itself, without a gateway. Registration, passwords, sessions, and what
//! administrators do about them.
//!
//! An account belongs to a user of the directory. So everything else of the service knows people with an account as it knows
//! all others.

mod address;
pub mod admin;
mod attempts;
mod chain;
mod hashing;
pub mod invitation;
mod own;
mod password;
pub mod profile;
pub mod registration;
mod session;
mod sign_in;
mod username;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use time::{Duration, OffsetDateTime};

use crate::base::config::{AccountSettings, Config, Secret};
use crate::base::error::{Error, Kind, Result};
use crate::base::store::Store;
use crate::identity::account::{AccessToken, Tokens};
use address::Proxies;
use attempts::{Attempts, ByAddress, network};
use hashing::Hasher;
pub use own::NewPassword;
pub use session::Listed;
pub use sign_in::SignIn;

const TOO_OFTEN_HERE: &str = "too many calls from this address: wait for the seconds of `Retry-After`";
const TOO_OFTEN_NAME: &str =
    "too many wrong passwords for this username: wait for the seconds of `Retry-After`";

/// What a client has after a sign-in or a refresh. Tokens are shown once.
#[derive(Debug)]
pub struct Grant {
    pub user_id: String,
    pub session_id: String,
    pub access: AccessToken,
    pub refresh: Secret,
}

/// What a call without a session shows.
#[derive(Debug, Clone, Copy)]
pub enum With {
    /// A password, of a sign-in or of a new account: it costs a hash.
    Password,
    /// A refresh token or a one-time code: 256 random bits, which cost one look-up.
    Token,
}

/// A call without a session, which is counted for its address.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    pub address: IpAddr,
    pub with: With,
}

/// The accounts of this service.
pub struct Accounts {
    store: Store,
    settings: AccountSettings,
    tokens: Arc<Tokens>,
    hasher: Hasher,
    by_name: Attempts,
    by_address: ByAddress,
    by_address_tokens: ByAddress,
    proxies: Proxies,
}

impl Accounts {
    /// # Errors
    /// `Kind::Internal` names a setting that cannot be used.
    pub fn open(store: Store, config: &Config, tokens: Arc<Tokens>) -> Result<Self> {
        let settings = config.accounts.clone();
        let proxies = Proxies::parse(&config.identity.trusted_peers);
        Ok(Self {
            store,
            tokens,
            hasher: Hasher::new(&settings)?,
            by_name: Attempts::new(settings.attempts, settings.attempt_every, TOO_OFTEN_NAME),
            by_address: ByAddress::new(
                settings.address_attempts,
                settings.address_attempt_every,
                TOO_OFTEN_HERE,
            ),
            by_address_tokens: ByAddress::new(
                settings.address_token_attempts,
                settings.address_token_attempt_every,
                TOO_OFTEN_HERE,
            ),
            proxies: proxies.map_err(|problem| Error::new(Kind::Internal, problem))?,
            settings,
        })
    }

    /// Counts a call without a session for the address that it comes from. Calls with a token have a limit of their own:
    /// they cost little, and wrong ones must not keep an office from signing in.
    ///
    /// # Errors
    /// `Kind::RateLimited` if too many came from there.
    pub fn admit(
        &self,
        with: With,
        peer: IpAddr,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Admission> {
        let address = network(self.proxies.client(peer, headers));
        self.limit(with).take(address, now)?;
        Ok(Admission { address, with })
    }

    /// A call that was right does not count: an office behind one address has many of them.
    pub fn was_right(&self, admission: Admission) {
        self.limit(admission.with).give_back(admission.address);
    }

    fn limit(&self, with: With) -> &ByAddress {
        match with {
            With::Password => &self.by_address,
            With::Token => &self.by_address_tokens,
        }
    }

    /// How many passwords were hashed.
    pub fn hashes(&self) -> u64 {
        self.hasher.done()
    }

    /// The public keys of access tokens, as a JWK set.
    pub async fn public_keys(&self) -> Result<serde_json::Value> {
        self.tokens.public_keys(&self.store).await
    }

    fn session_life(&self) -> Duration {
        Duration::days(self.settings.session_days.into())
    }
}

/// The answer to every wrong username and every wrong password.
fn wrong_credentials() -> Error {
    Error::new(Kind::WrongCredentials, "")
}

/// Deletes sessions and invitations that have expired, at most `most` of each. Returns how many.
pub async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    Ok(session::prune(store, now, most).await? + invitation::prune(store, now, most).await?)
}
