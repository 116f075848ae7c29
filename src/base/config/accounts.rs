//! Settings of accounts: who may register, passwords, attempts and sessions.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::values::{DAYS_MAX, MONTH, TIME_MAX, broken, list, millis, no_time};

/// What OWASP accepts of Argon2id with one lane: KiB of memory, and passes over it. The work is about the same.
const HASH_LEAST: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
const HASH_MEMORY_MAX_KIB: u32 = 1_048_576;
const HASH_PASSES_MAX: u32 = 100;
const HASH_THREADS_MAX: usize = 256;
const HASH_QUEUE: RangeInclusive<usize> = 1..=100_000;
/// NIST SP 800-63B: 8 characters at least, and 64 must be possible.
const PASSWORD_MIN_CHARS: RangeInclusive<usize> = 8..=64;
const PASSWORD_MAX_CHARS: RangeInclusive<usize> = 64..=1_024;
const ATTEMPTS: RangeInclusive<u32> = 1..=1_000_000;
/// What people say about themselves and can be looked for.
const SEARCHABLE: [&str; 2] = ["region", "tags"];
const SESSIONS: RangeInclusive<u32> = 1..=1_000;

/// Settings of accounts: who may register, passwords, attempts and sessions.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountSettings {
    #[serde(rename = "account_register")]
    pub register: Registration,
    #[serde(rename = "account_password_min_chars")]
    pub password_min_chars: usize,
    #[serde(rename = "account_password_max_chars")]
    pub password_max_chars: usize,
    #[serde(rename = "account_hash_memory_kib")]
    pub hash_memory_kib: u32,
    #[serde(rename = "account_hash_passes")]
    pub hash_passes: u32,
    #[serde(rename = "account_hash_threads")]
    pub hash_threads: usize,
    #[serde(rename = "account_hash_queue")]
    pub hash_queue: usize,
    #[serde(rename = "account_attempts")]
    pub attempts: u32,
    #[serde(rename = "account_attempt_every_ms", deserialize_with = "millis")]
    pub attempt_every: Duration,
    #[serde(rename = "account_address_attempts")]
    pub address_attempts: u32,
    #[serde(rename = "account_address_attempt_every_ms", deserialize_with = "millis")]
    pub address_attempt_every: Duration,
    #[serde(rename = "account_address_token_attempts")]
    pub address_token_attempts: u32,
    #[serde(rename = "account_address_token_attempt_every_ms", deserialize_with = "millis")]
    pub address_token_attempt_every: Duration,
    #[serde(rename = "account_session_days")]
    pub session_days: u32,
    #[serde(rename = "account_sessions_max")]
    pub sessions_max: u32,
    #[serde(rename = "account_refresh_grace_ms", deserialize_with = "millis")]
    pub refresh_grace: Duration,
    #[serde(rename = "account_single_session")]
    pub single_session: SingleSession,
    #[serde(rename = "account_single_session_idle_ms", deserialize_with = "millis")]
    pub single_session_idle: Duration,
    #[serde(rename = "account_reset_ms", deserialize_with = "millis")]
    pub reset_life: Duration,
    #[serde(rename = "account_search", deserialize_with = "list")]
    pub search: Vec<String>,
}

/// Who may register an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    Open,
    Invitation,
    Closed,
}

/// What a sign-in does while the user has another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SingleSession {
    /// Both go on.
    Off,
    /// The sign-in is refused while the other session is in use.
    Refuse,
    /// The other session ends.
    Replace,
}

impl AccountSettings {
    pub(super) fn check(&self) -> Vec<String> {
        let (memory, passes) = (self.hash_memory_kib, self.hash_passes);
        let is_weak = !HASH_LEAST.iter().any(|(kib, least)| memory >= *kib && passes >= *least);
        broken(&[
            (
                is_weak || memory > HASH_MEMORY_MAX_KIB || passes > HASH_PASSES_MAX,
                "`account_hash_memory_kib` and `account_hash_passes` must be at least 19456 and 2 (or 12288 and 3, 9216 \
                 and 4, 7168 and 5, 47104 and 1), and at most 1048576 and 100",
            ),
            (self.hash_threads > HASH_THREADS_MAX, "`account_hash_threads` must be 0 to 256"),
            (!HASH_QUEUE.contains(&self.hash_queue), "`account_hash_queue` must be 1 to 100000"),
            (
                !PASSWORD_MIN_CHARS.contains(&self.password_min_chars),
                "`account_password_min_chars` must be 8 to 64",
            ),
            (
                !PASSWORD_MAX_CHARS.contains(&self.password_max_chars),
                "`account_password_max_chars` must be 64 to 1024",
            ),
            (
                ![self.attempts, self.address_attempts, self.address_token_attempts]
                    .iter()
                    .all(|attempts| ATTEMPTS.contains(attempts)),
                "`account_attempts`, `account_address_attempts` and `account_address_token_attempts` must be 1 to 1000000",
            ),
            (no_time(self.attempt_every), "`account_attempt_every_ms` must be 1 ms to a day"),
            (no_time(self.address_attempt_every), "`account_address_attempt_every_ms` must be 1 ms to a day"),
            (
                no_time(self.address_token_attempt_every),
                "`account_address_token_attempt_every_ms` must be 1 ms to a day",
            ),
            (!(1..=DAYS_MAX).contains(&self.session_days), "`account_session_days` must be 1 to 3650"),
            (!SESSIONS.contains(&self.sessions_max), "`account_sessions_max` must be 1 to 1000"),
            (
                self.refresh_grace > Duration::from_secs(600),
                "`account_refresh_grace_ms` must be at most 600000: a stolen token works as long",
            ),
            (self.single_session_idle > TIME_MAX, "`account_single_session_idle_ms` must be at most a day"),
            (
                !self.search.iter().all(|attribute| SEARCHABLE.contains(&attribute.as_str())),
                "`account_search` can have region and tags",
            ),
            (
                self.reset_life.is_zero() || self.reset_life > MONTH,
                "`account_reset_ms` must be 1 ms to 30 days",
            ),
        ])
    }
}
