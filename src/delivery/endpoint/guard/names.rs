//! Resolves names: with the system's resolver, or with the operator's name servers.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::base::error::{Error, Kind, Result};

const DNS_PORT: u16 = 53;

pub(super) enum Names {
    System,
    Servers(Box<TokioResolver>),
}

impl Names {
    /// Asks these servers (`address` or `address:port`), or the system if there are none.
    pub(super) fn new(servers: &[String]) -> Result<Self> {
        if servers.is_empty() {
            return Ok(Self::System);
        }
        let servers = servers.iter().map(|server| name_server(server)).collect::<Result<Vec<_>>>()?;
        let config = ResolverConfig::from_name_servers(servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build().map(|resolver| Self::Servers(Box::new(resolver))).map_err(Error::internal)
    }

    /// All addresses of a name; none if it does not resolve.
    pub(super) async fn look_up(&self, name: &str) -> Option<Vec<IpAddr>> {
        let addresses: Vec<IpAddr> = match self {
            Self::System => {
                tokio::net::lookup_host((name, 0)).await.ok()?.map(|socket| socket.ip()).collect()
            }
            Self::Servers(resolver) => {
                let name = format!("{}.", name.strip_suffix('.').unwrap_or(name));
                resolver.lookup_ip(name).await.ok()?.iter().collect()
            }
        };
        Some(addresses).filter(|addresses| !addresses.is_empty())
    }
}

fn name_server(text: &str) -> Result<NameServerConfig> {
    let address =
        text.parse::<SocketAddr>().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, DNS_PORT)));
    let address = address.map_err(|_| {
        Error::new(Kind::Internal, "callback_dns_servers takes IP addresses, with or without a port")
    })?;
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    Ok(server)
}
