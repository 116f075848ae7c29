//! Settings of the proof of who is calling.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;
use super::values::{list, millis};

/// Settings of the proof of who is calling. `Identity::mistakes` has the rules: only `serve` needs a proof.
#[derive(Debug, Clone, Deserialize)]
pub struct IdentitySettings {
    #[serde(rename = "identity_mode")]
    pub mode: IdentityMode,
    #[serde(rename = "identity_names")]
    pub names: IdentityNames,
    #[serde(rename = "identity_preset")]
    pub preset: String,
    #[serde(rename = "identity_user_header")]
    pub user_header: String,
    #[serde(rename = "identity_user_encoding")]
    pub user_encoding: UserEncoding,
    #[serde(rename = "identity_roles_header")]
    pub roles_header: String,
    #[serde(deserialize_with = "list")]
    pub trusted_peers: Vec<String>,
    #[serde(rename = "identity_secret")]
    pub secret: Secret,
    pub unsafe_trust_every_peer: bool,
    #[serde(deserialize_with = "list")]
    pub hmac_secrets: Vec<Secret>,
    #[serde(rename = "hmac_skew_ms", deserialize_with = "millis")]
    pub hmac_skew: Duration,
    pub jwt_issuer: String,
    pub jwt_audience: String,
    pub jwt_jwks_url: String,
    #[serde(deserialize_with = "list")]
    pub jwt_algorithms: Vec<String>,
    pub jwt_user_claim: String,
    pub jwt_roles_claim: String,
    pub jwt_max_bytes: usize,
    #[serde(rename = "jwt_refresh_ms", deserialize_with = "millis")]
    pub jwt_refresh: Duration,
    pub account_issuer: String,
    #[serde(deserialize_with = "list")]
    pub account_keys: Vec<Secret>,
    #[serde(rename = "account_token_ms", deserialize_with = "millis")]
    pub account_token: Duration,
    #[serde(rename = "account_seen_every_ms", deserialize_with = "millis")]
    pub account_seen_every: Duration,
}

/// How callers are authenticated; see "Who is calling" in docs/operating.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    Jwt,
    Hmac,
    Headers,
    Accounts,
}

/// How the header with the user's name encodes characters beyond ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserEncoding {
    Ascii,
    #[serde(rename = "utf-8")]
    Utf8,
    Percent,
}

/// Which attribute of a user the proof contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityNames {
    UserId,
    LoginName,
}
