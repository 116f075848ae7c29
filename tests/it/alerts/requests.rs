//! Faults that callers meet.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use super::watched::Watched;
use crate::base::database::until;
use crate::base::tls::Authority;
use crate::support::sandbox::free_port;

const LONG_DAYS: u32 = 90;
const DAY_S: f64 = 86_400.0;
/// Moments with slow sends: more than the alert waits.
const SLOW: usize = 4;
/// A send has waited for a lock for longer than the alert allows.
const WAITED: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
     AND query LIKE '-- Stores the sends%' AND clock_timestamp() - query_start > interval '1200 ms'";
/// A request waits for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
     AND query LIKE '%t_im_emoji%'";

pub async fn killed() -> Watched {
    let mut watched = Watched::start(&[]).await;
    watched.service.kill9();
    watched.look().await;
    watched
}

pub async fn slow_sends() -> Watched {
    let mut watched = Watched::start(&[]).await;
    let channel = watched.channel().await;
    watched.say(&channel).await;
    watched.look().await;
    let holder = watched.sql().await;
    for _ in 0..SLOW {
        holder.batch_execute("BEGIN; LOCK TABLE t_im_message IN EXCLUSIVE MODE").await.expect("a lock");
        let held = async {
            watched.counts(WAITED, 1).await;
            holder.batch_execute("ROLLBACK").await.expect("no lock");
        };
        tokio::join!(watched.say(&channel), held);
        watched.look().await;
    }
    watched
}

pub async fn shed() -> Watched {
    let mut watched = Watched::start(&[("requests_max", "1")]).await;
    watched.channel().await;
    let holder = watched.sql().await;
    holder.batch_execute("BEGIN; LOCK TABLE t_im_emoji IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let a = watched.client("a", &[]);
    let shed = async {
        watched.counts(WAITING, 1).await;
        a.get("/conversations").await.expect_problem(503, "unavailable");
        holder.batch_execute("ROLLBACK").await.expect("no lock");
    };
    tokio::join!(a.get("/emojis"), shed);
    watched.sees("impg_requests_shed_total", 1.0).await;
    watched
}

pub async fn certificate() -> Watched {
    let authority = Authority::new();
    let (certificate, key) = (authority.path("tls.pem"), authority.path("tls.key"));
    let settings = [
        ("tls_certificate_file", certificate.to_str().expect("a path")),
        ("tls_key_file", key.to_str().expect("a path")),
    ];
    let mut watched = Watched::start(&settings).await;
    authority.issue("two");
    authority.install("two", "one");
    watched.sees("impg_tls_reloads_total{outcome=\"failed\"}", 1.0).await;
    watched
}

pub async fn ten_days() -> Watched {
    renewed_for(10).await
}

pub async fn two_days() -> Watched {
    renewed_for(2).await
}

/// A certificate for long, then one for so many days.
async fn renewed_for(days: u32) -> Watched {
    let authority = Authority::new();
    authority.issue_for("long", LONG_DAYS);
    authority.install("long", "long");
    let (certificate, key) = (authority.path("tls.pem"), authority.path("tls.key"));
    let settings = [
        ("tls_certificate_file", certificate.to_str().expect("a path")),
        ("tls_key_file", key.to_str().expect("a path")),
    ];
    let mut watched = Watched::start(&settings).await;
    authority.issue_for("short", days);
    authority.install("short", "short");
    let latest = f64::from(days + 1) * DAY_S;
    watched.sees_that("impg_tls_certificate_expiry_timestamp_seconds", |left| left < latest).await;
    watched
}

pub async fn keys() -> Watched {
    let url = format!("http://127.0.0.1:{}/keys", free_port());
    let settings = [
        ("identity_mode", "jwt"),
        ("identity_roles_header", ""),
        ("jwt_issuer", "https://gateway.example"),
        ("jwt_audience", "im-push"),
        ("jwt_jwks_url", url.as_str()),
        ("jwt_refresh_ms", "1000"),
    ];
    let mut watched = Watched::start(&settings).await;
    let header = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": "new"}).to_string());
    let caller = crate::support::Client::anonymous(&watched.service.api())
        .with_header("authorization", &format!("Bearer {header}.e30.AAAA"));
    // A fetch a second, as long as callers come.
    let asked = || async {
        caller.get("/users/me").await.expect_problem(503, "unavailable");
        watched.value("impg_jwks_failures_total").await
    };
    until(asked, |failures| *failures > 4.0).await;
    watched.look().await;
    watched
}
