//! Which addresses a POST may reach. Administrators and DNS cannot make the service connect to an address
//! that the operator has not listed.
//!
//! Endpoints are usually inside the company. So an address is allowed if it is listed, by name or network,
//! not if it is public. Special addresses (loopback, metadata services and similar ones) cannot be reached
//! through a name. They need a listed network with a narrow prefix.

mod names;
mod special;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::base::config::CallbackSettings;
use crate::base::error::{Error, Kind, Result};
use names::Names;

/// The address, or one that its name resolves to, is not allowed.
#[derive(Debug)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("address not allowed by callback_allow")
    }
}

impl std::error::Error for Refused {}

/// The name does not resolve.
#[derive(Debug)]
pub struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("name not found")
    }
}

impl std::error::Error for Unresolved {}

/// The rules of `callback_allow`.
#[derive(Debug, Default)]
struct Rules {
    /// Lower-case names without a final dot. A leading dot means a suffix.
    hosts: Vec<String>,
    networks: Vec<IpNet>,
}

/// The rules, with a resolver that follows them. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    rules: Arc<Rules>,
    names: Arc<Names>,
}

impl Guard {
    pub fn new(settings: &CallbackSettings) -> Result<Self> {
        let rules = Rules::parse(&settings.allow)?;
        let names = Names::new(&settings.dns_servers)?;
        Ok(Self { rules: Arc::new(rules), names: Arc::new(names) })
    }

    /// Refuses an address that is not allowed, and a name that cannot lead to an allowed one. A name that
    /// passes is checked again at each connection, by its addresses. An address is never resolved, so every
    /// request must call this.
    pub fn check(&self, url: &Url) -> std::result::Result<(), Refused> {
        let passes = match url.host() {
            Some(Host::Ipv4(address)) => self.rules.open(address.into(), false),
            Some(Host::Ipv6(address)) => self.rules.open(address.into(), false),
            Some(Host::Domain(name)) => !self.rules.networks.is_empty() || self.rules.lists(name),
            None => false,
        };
        if passes { Ok(()) } else { Err(Refused) }
    }
}

/// The client connects only to the addresses returned here.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { rules, names } = self.clone();
        Box::pin(async move {
            let addresses = names.look_up(name.as_str()).await.ok_or(Unresolved)?;
            let listed = rules.lists(name.as_str());
            if !addresses.iter().all(|address| rules.open(*address, listed)) {
                return Err(Refused.into());
            }
            let sockets: Vec<SocketAddr> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(sockets.into_iter()) as Addrs)
        })
    }
}

impl Rules {
    fn parse(entries: &[String]) -> Result<Self> {
        let mut rules = Self::default();
        for entry in entries {
            if let Ok(network) = entry.parse::<IpNet>() {
                rules.networks.push(canonical(network.trunc()));
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                rules.networks.push(canonical(address.into()));
            } else {
                rules.hosts.push(host_rule(entry)?);
            }
        }
        Ok(rules)
    }

    /// Whether a name is listed, itself or by a suffix.
    fn lists(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.hosts.iter().any(|rule| {
            if rule.starts_with('.') {
                name.ends_with(rule) && name.len() > rule.len()
            } else {
                *rule == name
            }
        })
    }

    /// Whether an address is allowed, with or without a listed name.
    fn open(&self, address: IpAddr, listed: bool) -> bool {
        let address = address.to_canonical();
        let narrowest = special::prefix(address);
        let opens = |network: &IpNet| {
            network.contains(&address) && narrowest.is_none_or(|prefix| network.prefix_len() >= prefix)
        };
        self.networks.iter().any(opens) || listed && narrowest.is_none()
    }
}

/// IPv4 networks in one form, because addresses are compared in that form.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS)),
        IpNet::V4(_) => None,
    };
    mapped.and_then(|(address, prefix)| IpNet::new(address.into(), prefix).ok()).unwrap_or(network)
}

/// A name as URLs have it, with or without the leading dot of a suffix.
fn host_rule(entry: &str) -> Result<String> {
    let refuse = || {
        let detail = "callback_allow takes hosts (portal.example), suffixes (.portal.example) and networks (10.1.0.0/16)";
        Error::new(Kind::Internal, detail)
    };
    let (dot, name) = entry.strip_prefix('.').map_or(("", entry), |name| (".", name));
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    match Host::parse(name) {
        Ok(Host::Domain(host)) if name.chars().all(plain) => {
            Ok(format!("{dot}{}", host.strip_suffix('.').unwrap_or(&host)))
        }
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow: &[&str]) -> Guard {
        let entries: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
        let names = Names::new(&[]).unwrap();
        Guard { rules: Arc::new(Rules::parse(&entries).unwrap()), names: Arc::new(names) }
    }

    fn passes(allow: &[&str], url: &str) -> bool {
        guard(allow).check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn nothing_passes_an_empty_list() {
        for url in ["http://10.0.0.1/", "https://portal.example/", "http://localhost/", "http://[fd00::1]/"] {
            assert!(!passes(&[], url), "{url}");
        }
    }

    #[test]
    fn no_spelling_of_an_address_that_is_special_passes_a_wide_list() {
        let everything = ["0.0.0.0/0", "::/0", "1.0.0.0/8"];
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.0x1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://127。0。0。1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::127.0.0.1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[64:ff9b:1::7f00:1]/",
            "http://[64:ff9b:1:7f00:0:100::]/",
            "http://[64:ff9b:1::a00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[2001:0:7f00:1::80ff:fffe]/",
            "http://[fd00::5efe:127.0.0.1]/",
            "http://[fd00::200:5efe:a9fe:a9fe]/",
            "http://169.254.169.254/",
            "http://169.254.170.2/",
            "http://169.254.1.1/",
            "http://2852039166/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://[fd20:ce::254]/",
            "http://100.100.100.200/",
            "http://192.0.0.192/",
            "http://168.63.129.16/",
            "http://224.0.0.1/",
            "http://239.255.255.250/",
            "http://240.0.0.1/",
            "http://255.255.255.255/",
            "http://198.18.0.1/",
            "http://192.0.2.1/",
            "http://[fe80::1]/",
            "http://[fec0::1]/",
            "http://[ff02::1]/",
            "http://[100::1]/",
            "http://[2001:db8::1]/",
        ] {
            assert!(!passes(&everything, url), "{url}");
        }
    }

    #[test]
    fn what_a_listed_network_holds_passes() {
        for (allow, url) in [
            ("10.0.0.0/8", "http://10.1.2.3:8080/hook"),
            ("10.0.0.0/8", "http://167838211/"),
            ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/"),
            ("::ffff:10.0.0.0/104", "http://10.1.2.3/"),
            ("10.1.2.3", "http://10.1.2.3/"),
            ("10.1.2.3/8", "http://10.9.9.9/"),
            ("fd12::/16", "http://[fd12::1]/"),
            ("100.64.0.0/10", "http://100.64.1.1/"),
            ("127.0.0.0/8", "http://127.0.0.1:9/"),
            ("127.0.0.1", "http://[::ffff:127.0.0.1]:9/"),
            ("::1", "http://[::1]/"),
            ("169.254.169.254", "http://169.254.169.254/"),
            ("169.254.0.0/16", "http://169.254.1.1/"),
            ("64:ff9b::/96", "http://[64:ff9b::10.1.2.3]/"),
            ("64:ff9b::7f00:0/104", "http://[64:ff9b::127.0.0.1]/"),
            ("10.0.0.0/8", "http://portal.example/"),
        ] {
            assert!(passes(&[allow], url), "{allow} {url}");
        }
    }

    #[test]
    fn a_network_opens_only_what_it_names_narrowly() {
        for (allow, url) in [
            ("10.0.0.0/8", "http://11.0.0.1/"),
            ("10.0.0.0/8", "http://[64:ff9b::10.1.2.3]/"),
            ("126.0.0.0/7", "http://127.0.0.1/"),
            ("169.254.0.0/16", "http://169.254.169.254/"),
            ("100.64.0.0/10", "http://100.100.100.200/"),
            ("fd00::/8", "http://[fd00:ec2::254]/"),
            ("64:ff9b::/96", "http://[64:ff9b::127.0.0.1]/"),
            ("64:ff9b:1::/48", "http://[64:ff9b:1:7f00:0:100::]/"),
            ("2002::/16", "http://[2002:7f00:1::]/"),
            ("::/96", "http://[::127.0.0.1]/"),
            ("portal.example", "http://10.0.0.1/"),
        ] {
            assert!(!passes(&[allow], url), "{allow} {url}");
        }
    }

    #[test]
    fn names_are_listed_whole_or_by_their_ending() {
        let allow = ["portal.example", ".corp.example", "bücher.example"];
        for url in [
            "http://portal.example/",
            "http://PORTAL.example./x",
            "https://a.corp.example/",
            "https://a.b.corp.example/",
            "http://xn--bcher-kva.example/",
        ] {
            assert!(passes(&allow, url), "{url}");
        }
        for url in [
            "http://a.portal.example/",
            "http://corp.example/",
            "http://evilcorp.example/",
            "http://portal.example.evil.test/",
            "http://localhost/",
        ] {
            assert!(!passes(&allow, url), "{url}");
        }
        for bad in
            ["", ".", "*", "*.example", "http://portal.example", "a b", "10.0.0.0/33", "portal.example/"]
        {
            assert!(Rules::parse(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_listed_name_leads_to_no_special_address() {
        let rules = Rules::parse(&["portal.example".to_owned()]).unwrap();
        for (address, open) in [
            ("10.0.0.1", true),
            ("203.0.114.1", true),
            ("fd12::1", true),
            ("64:ff9b::a01:203", true),
            ("127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("169.254.169.254", false),
            ("64:ff9b::7f00:1", false),
            ("::1", false),
            ("fd00:ec2::254", false),
        ] {
            assert_eq!(rules.open(address.parse().unwrap(), true), open, "{address}");
            assert!(!rules.open(address.parse().unwrap(), false), "{address}");
        }
    }

    #[tokio::test]
    async fn one_bad_address_refuses_the_name() {
        // Every system's resolver knows this name, with its own addresses.
        let name = || "localhost".parse().unwrap();
        assert!(guard(&["localhost"]).resolve(name()).await.err().unwrap().is::<Refused>());
        let both = ["127.0.0.0/8", "::1"];
        assert!(guard(&both).resolve(name()).await.is_ok());
        let nowhere = "no-such-name.invalid".parse().unwrap();
        assert!(guard(&both).resolve(nowhere).await.err().unwrap().is::<Unresolved>());
    }
}
