//! What the replica of these settings says of itself, if it runs on this machine: `/readyz` and the metrics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::{Found, Part};
use crate::base::config::Config;

/// The fields of `/readyz`. Another program at the address may answer anything.
const FIELDS: &[&str] = &["status", "database", "partitions", "callback", "archive", "index_lag_seconds"];
/// How the lines of our metrics begin.
const METRICS: &[&str] = &["impg_", "# HELP impg_", "# TYPE impg_"];
/// Most bytes of an answer that are read.
const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Both parts.
pub async fn parts(config: &Config, limit: Duration) -> Vec<Part> {
    let readiness = match ask(config.server.listen, "/readyz", limit).await {
        Ok(text) => readiness(&text),
        Err(why) => Found::Elsewhere(why),
    };
    let metrics = match config.server.metrics_listen {
        None => Found::Elsewhere("`metrics_listen` is empty".to_owned()),
        Some(address) => match ask(address, "/metrics", limit).await {
            Ok(text) => metrics(&text),
            Err(why) => Found::Elsewhere(why),
        },
    };
    vec![
        Part { name: "readiness.json", about: "/readyz of the replica here", found: readiness },
        Part { name: "metrics.txt", about: "metrics of the replica here", found: metrics },
    ]
}

fn readiness(text: &str) -> Found {
    match serde_json::from_str::<Value>(text) {
        Ok(answer) => {
            Found::Json(FIELDS.iter().map(|field| ((*field).to_owned(), answer[*field].clone())).collect())
        }
        Err(_) => Found::Elsewhere("another program answers at `listen`".to_owned()),
    }
}

fn metrics(text: &str) -> Found {
    let is_ours = |line: &&str| METRICS.iter().any(|begin| line.starts_with(begin));
    let ours: String = text.lines().filter(is_ours).flat_map(|line| [line, "\n"]).collect();
    match ours.is_empty() {
        false => Found::Text(ours),
        true => Found::Elsewhere("another program answers at `metrics_listen`".to_owned()),
    }
}

/// The answer of a program on this machine.
async fn ask(address: SocketAddr, path: &str, limit: Duration) -> Result<String, String> {
    let url = format!("http://{}{path}", reachable(address));
    // The address is one of ours: no proxy and no other server has a part in it.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(limit)
        .build()
        .map_err(|_| "there is no HTTP client".to_owned())?;
    let away = |_| format!("no replica answers at {url}");
    let mut response = client.get(&url).send().await.map_err(away)?;
    let mut answer = Vec::new();
    while let Some(part) = response.chunk().await.map_err(away)? {
        answer.extend_from_slice(&part);
        if answer.len() > ANSWER_MAX_BYTES {
            return Err(format!("the answer of {url} is too large"));
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// An address that is listened on is not always one to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_another_program_answers_stays_out() {
        let Found::Text(kept) = metrics("impg_streams 1\n# HELP impg_streams Open.\nother{user=\"a\"} 1\n")
        else {
            panic!("no metrics")
        };
        assert_eq!(kept, "impg_streams 1\n# HELP impg_streams Open.\n");
        assert!(matches!(metrics("other 1\n"), Found::Elsewhere(_)));
        let Found::Json(kept) = readiness(r#"{"status": "ready", "user": "a"}"#) else { panic!("no fields") };
        assert_eq!((&kept["status"], kept.get("user")), (&json!("ready"), None));
        assert!(matches!(readiness("<html>"), Found::Elsewhere(_)));
    }

    #[test]
    fn every_address_that_is_listened_on_can_be_asked() {
        for (listen, ask) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.0.0.1:80", "10.0.0.1:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), ask);
        }
    }
}
