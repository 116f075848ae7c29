//! The address of a client: of the socket, or what trusted proxies say of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::HeaderName;
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies in front of the service, whose `X-Forwarded-For` counts.
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Reads addresses and networks. None is left out silently: `problems` has what is none.
    pub fn parse(listed: &[String]) -> Result<Self, String> {
        let network = |text: &String| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address
                .or_else(|_| text.parse::<IpNet>())
                .map_err(|_| format!("`trusted_peers` must have addresses and networks; {text:?} is none"))
        };
        listed.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// The address that a request comes from. Each proxy appends the address that it saw, so the last one that is no proxy
    /// counts; a client can write all before it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.has(peer) {
            return peer;
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
        let mut client = peer;
        for text in lines.flat_map(|line| line.rsplit(',')) {
            let Some(address) = address_of(text.trim()) else { break };
            client = address.to_canonical();
            if !self.has(client) {
                break;
            }
        }
        client
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Some proxies add the port, and brackets around an address of IPv6.
fn address_of(text: &str) -> Option<IpAddr> {
    let whole =
        text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    whole.ok().or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies::parse(&["10.0.0.0/8".to_owned(), "127.0.0.1".to_owned()]).expect("networks");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a value"));
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_appended_counts() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "a stranger says what they like");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client("10.0.0.1", &["203.0.113.9, 198.51.100.7"]),
            "198.51.100.7",
            "the client wrote the first"
        );
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.7:49152, 10.0.0.2:80"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]:49152"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["198.51.100.7:port"]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert!(Proxies::parse(&["gateway".to_owned()]).is_err());
    }
}
