//! Settings of calls.

use std::time::Duration;

use serde::Deserialize;

use super::values::{Secret, broken, list, millis, no_time};

/// Most users that a call can be allowed to have, most bytes of what they hand each other, and most names of it that are kept.
const USERS_MAX: u32 = 500;
const BYTES_MAX: usize = 262_144;
const NAMES_MAX: u32 = 1_000;

/// Settings of calls.
#[derive(Debug, Clone, Deserialize)]
pub struct CallSettings {
    #[serde(rename = "call_users")]
    pub users: u32,
    #[serde(rename = "call_ring_ms", deserialize_with = "millis")]
    pub ring: Duration,
    #[serde(rename = "call_max_ms", deserialize_with = "millis")]
    pub longest: Duration,
    #[serde(rename = "call_signal_max_bytes")]
    pub signal_max_bytes: usize,
    #[serde(rename = "call_data_max_bytes")]
    pub data_max_bytes: usize,
    #[serde(rename = "call_data_names")]
    pub data_names: u32,
    #[serde(deserialize_with = "list")]
    pub turn_urls: Vec<String>,
    pub turn_secret: Secret,
    #[serde(rename = "turn_credentials_ms", deserialize_with = "millis")]
    pub turn_credentials: Duration,
    pub livekit_url: String,
    pub livekit_api_key: String,
    pub livekit_api_secret: Secret,
    #[serde(rename = "livekit_token_ms", deserialize_with = "millis")]
    pub livekit_token: Duration,
}

impl CallSettings {
    pub(super) fn check(&self) -> Vec<String> {
        let bytes = |bytes: &usize| (1..=BYTES_MAX).contains(bytes);
        let livekit = [&*self.livekit_url, &*self.livekit_api_key, self.livekit_api_secret.expose()];
        let given = livekit.iter().filter(|value| !value.is_empty()).count();
        broken(&[
            (
                !(2..=USERS_MAX).contains(&self.users),
                "`call_users` must be 2 to 500: a call rings at all of them",
            ),
            (no_time(self.ring), "`call_ring_ms` must be 1 ms to a day"),
            (
                no_time(self.longest) || self.longest <= self.ring,
                "`call_max_ms` must be more than `call_ring_ms`, and at most a day",
            ),
            (
                !bytes(&self.signal_max_bytes) || !bytes(&self.data_max_bytes),
                "`call_signal_max_bytes` and `call_data_max_bytes` must be 1 to 262144",
            ),
            (!(1..=NAMES_MAX).contains(&self.data_names), "`call_data_names` must be 1 to 1000"),
            (
                !self.turn_urls.iter().all(|url| is_ice(url)),
                "`turn_urls` must be addresses such as turn:turn.example.com:3478?transport=udp or stun:turn.example.com",
            ),
            (
                self.turn_urls.iter().any(|url| is_turn(url)) && self.turn_secret.expose().is_empty(),
                "set `turn_secret` to the `static-auth-secret` of the TURN server in `turn_urls`",
            ),
            (
                no_time(self.turn_credentials) || no_time(self.livekit_token),
                "`turn_credentials_ms` and `livekit_token_ms` must be 1 ms to a day",
            ),
            (
                given != 0 && given != livekit.len(),
                "set all of `livekit_url`, `livekit_api_key` and `livekit_api_secret`, or none of them",
            ),
            (
                given > 0 && !["ws://", "wss://"].iter().any(|scheme| self.livekit_url.starts_with(scheme)),
                "`livekit_url` must begin with wss:// or ws://",
            ),
        ])
    }
}

/// Whether an address is one of a TURN server, which takes credentials.
pub fn is_turn(url: &str) -> bool {
    url.starts_with("turn:") || url.starts_with("turns:")
}

/// Whether a browser takes an address as one of an ICE server (RFC 7064, RFC 7065).
fn is_ice(url: &str) -> bool {
    let rest = ["stun:", "stuns:", "turn:", "turns:"].iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c == '/'))
}

#[cfg(test)]
mod tests {
    use super::is_ice;

    #[test]
    fn an_address_of_an_ice_server_has_no_slashes() {
        for url in [
            "turn:turn.example.com:3478?transport=udp",
            "stun:[2001:db8::1]:3478",
            "turns:a:443?transport=tcp",
        ] {
            assert!(is_ice(url), "{url}");
        }
        for url in ["turn://turn.example.com", "https://a", "turn:", "turn:a b"] {
            assert!(!is_ice(url), "{url}");
        }
    }
}
