//! The peers whose identity headers are trusted.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::headers::GATEWAY_SECRET;
use super::{refused, setting};
use crate::base::config::IdentitySettings;
use crate::base::error::{Error, Result};

/// The trusted peers and the shared secret.
pub struct Trust {
    networks: Vec<IpNet>,
    every_peer: bool,
    /// SHA-256 of the secret, so that a comparison takes the same time for every length.
    secret: Option<[u8; 32]>,
}

impl Trust {
    /// Refuses an empty trust list and one that covers every address. Refuses peers outside loopback without
    /// a secret. `unsafe_trust_every_peer` turns all checks off.
    pub fn new(settings: &IdentitySettings) -> Result<Self> {
        let networks = settings.trusted_peers.iter().map(|peer| network(peer)).collect::<Result<Vec<_>>>()?;
        let secret = settings.secret.expose();
        let secret = (!secret.is_empty()).then(|| Sha256::digest(secret).into());
        let trust = Self { every_peer: settings.unsafe_trust_every_peer, networks, secret };
        if trust.every_peer {
            tracing::warn!(
                "`unsafe_trust_every_peer` is on: any client that reaches the port can act as any user"
            );
            return Ok(trust);
        }
        if trust.networks.is_empty() {
            return Err(setting(
                "`trusted_peers` is empty: set it to the addresses of the gateway (IMPG_TRUSTED_PEERS)",
            ));
        }
        if IpNet::aggregate(&trust.networks).iter().any(|net| net.prefix_len() == 0) {
            return Err(setting(
                "`trusted_peers` covers every address; to allow this, set `unsafe_trust_every_peer`",
            ));
        }
        if secret_missing(&trust) {
            return Err(setting("set `identity_secret`: `trusted_peers` has addresses outside loopback"));
        }
        Ok(trust)
    }

    /// Refuses a peer that is not the gateway. Only the address of the socket counts, because any client can
    /// write `X-Forwarded-For`.
    pub fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<()> {
        let peer = peer.to_canonical();
        if !self.every_peer && !self.networks.iter().any(|network| network.contains(&peer)) {
            return Err(refused("identity headers are not accepted from this address; see `trusted_peers`"));
        }
        let proven = match (&self.secret, headers.get(GATEWAY_SECRET)) {
            (Some(secret), Some(sent)) => Sha256::digest(sent.as_bytes()).as_slice().ct_eq(secret).into(),
            (Some(_), None) => peer.is_loopback(),
            (None, _) => peer.is_loopback() || self.every_peer,
        };
        if proven { Ok(()) } else { Err(refused("the gateway's secret is missing or wrong")) }
    }
}

fn secret_missing(trust: &Trust) -> bool {
    let loopback = |net: &IpNet| net.network().is_loopback() && net.broadcast().is_loopback();
    trust.secret.is_none() && !trust.networks.iter().all(loopback)
}

/// Parses an address or a network. IPv4 inside IPv6 (RFC 4291 §2.5.5.2) becomes IPv4, as it does for peers.
fn network(text: &str) -> Result<IpNet> {
    let parsed = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let net: IpNet =
        parsed.map_err(|_| setting(format!("`trusted_peers`: {text} must be an address or a network")))?;
    if net.trunc() != net {
        return Err(setting(format!(
            "`trusted_peers`: {text} has bits beyond its prefix; did you mean {}?",
            net.trunc()
        )));
    }
    let IpNet::V6(v6) = net else { return Ok(net) };
    match (v6.network().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix)) => Ok(Ipv4Net::new(v4, prefix).map_err(Error::internal)?.into()),
        _ => Ok(net),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use http::HeaderValue;

    fn peer_settings(overrides: &str) -> std::result::Result<Trust, String> {
        Trust::new(
            &Config::from_toml(&format!("database_url = \"postgresql://\"\n{overrides}")).unwrap().identity,
        )
        .map_err(|e| e.to_string())
    }

    fn sent(secret: &[u8]) -> HeaderMap {
        HeaderMap::from_iter([(GATEWAY_SECRET, HeaderValue::from_bytes(secret).unwrap())])
    }

    #[test]
    fn an_open_trust_list_does_not_start() {
        for open in
            ["", "0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1", "::ffff:0.0.0.0/96", "10.0.0.1,::/1,8000::/1"]
        {
            let text = format!("trusted_peers = \"{open}\"\nidentity_secret = \"s\"");
            assert!(peer_settings(&text).is_err(), "{open}");
            assert!(peer_settings(&format!("{text}\nunsafe_trust_every_peer = true")).is_ok(), "{open}");
        }
        for broken in ["gateway.local", "10.0.0.1/33", "10.0.0.5/24", "*", "127.0.0.1:80"] {
            let problem =
                peer_settings(&format!("trusted_peers = \"{broken}\"\nidentity_secret = \"s\"")).err();
            assert!(problem.is_some_and(|problem| problem.contains(broken)), "{broken}");
        }
    }

    #[test]
    fn peers_off_loopback_need_the_secret() {
        let problem = peer_settings("trusted_peers = \"127.0.0.1,10.0.0.0/24\"").err().unwrap();
        assert!(problem.contains("identity_secret"));
        assert!(peer_settings("trusted_peers = \"127.0.0.0/8,::1\"").is_ok());

        let trust =
            peer_settings("trusted_peers = \"127.0.0.1,10.0.0.0/24\"\nidentity_secret = \"hush\"").unwrap();
        let check = |peer: &str, secret: Option<&[u8]>| {
            let headers = secret.map(sent).unwrap_or_default();
            trust.check(peer.parse().unwrap(), &headers).is_ok()
        };
        assert!(check("10.0.0.9", Some(b"hush")));
        for wrong in
            [None, Some(b"".as_slice()), Some(b"hus"), Some(b"hushh"), Some(b"HUSH"), Some(b"hush\xff")]
        {
            assert!(!check("10.0.0.9", wrong), "{wrong:?}");
        }
        assert!(check("127.0.0.1", None));
        assert!(!check("127.0.0.1", Some(b"wrong")), "a wrong secret is not ignored");
        assert!(!check("10.0.1.9", Some(b"hush")), "the secret does not replace the list");
    }

    #[test]
    fn ipv4_inside_ipv6_is_ipv4() {
        let trust =
            peer_settings("trusted_peers = \"10.0.0.0/24,::ffff:10.9.0.0/112\"\nidentity_secret = \"s\"")
                .unwrap();
        let headers = sent(b"s");
        for (peer, trusted) in
            [("::ffff:10.0.0.9", true), ("10.9.3.4", true), ("::ffff:10.0.1.9", false), ("::1", false)]
        {
            assert_eq!(trust.check(peer.parse().unwrap(), &headers).is_ok(), trusted, "{peer}");
        }
    }

    #[test]
    fn trusting_every_peer_still_asks_for_a_secret_that_was_set() {
        let trust = peer_settings("unsafe_trust_every_peer = true\nidentity_secret = \"hush\"").unwrap();
        let peer = "192.0.2.7".parse().unwrap();
        assert!(trust.check(peer, &HeaderMap::new()).is_err());
        assert!(trust.check(peer, &sent(b"hush")).is_ok());
    }
}
