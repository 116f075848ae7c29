//! The metrics of readiness and of the certificate: what an operator is told before callers notice.

use std::process::Command;

use crate::base::database::until;
use crate::base::tls::Authority;
use crate::support::{Client, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const EXPIRY: &str = "impg_tls_certificate_expiry_timestamp_seconds";

/// The value of a metric without labels.
async fn metric(service: &Service, name: &str) -> Option<f64> {
    let scrape = reqwest::get(service.metrics_url()).await.unwrap().text().await.unwrap();
    let line = scrape.lines().find(|line| line.split(' ').next() == Some(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_metric_says_what_readyz_says() {
    let database = crate::app::database().await;
    let mut service = Service::start(BINARY, &[("database_url", &shared().url(&database))]).await;
    let ready = || metric(&service, "impg_ready");
    until(ready, |ready| *ready == Some(1.0)).await;
    let probe = Client::anonymous(&service.url());
    probe.get("/readyz").await.expect(200);
    let admin = shared().connect("postgres").await;
    // It holds for connections that begin later.
    for statement in [
        format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"),
    ] {
        admin.batch_execute(&statement).await.unwrap();
    }
    until(ready, |ready| *ready == Some(0.0)).await;
    probe.get("/readyz").await.expect(503);
    admin
        .batch_execute(&format!("ALTER DATABASE {database} RESET default_transaction_read_only"))
        .await
        .unwrap();
    until(ready, |ready| *ready == Some(1.0)).await;
    assert_eq!(metric(&service, EXPIRY).await, None);
    service.stop().await;
}

/// When openssl says that the certificate expires, in seconds since 1970.
fn expiry(authority: &Authority, name: &str) -> f64 {
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let path = authority.path(name).display().to_string();
    let date = told("openssl", &["x509", "-noout", "-enddate", "-in", &path]);
    let date = date.strip_prefix("notAfter=").expect("a date").to_owned();
    told("date", &["--utc", "--date", &date, "+%s"]).parse().unwrap()
}

#[tokio::test]
async fn a_metric_says_when_the_certificate_expires_also_after_it_is_renewed() {
    let authority = Authority::new();
    let (certificate, key) = (authority.path("tls.pem"), authority.path("tls.key"));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let database = shared().url(&crate::app::database().await);
    let settings =
        [("database_url", &*database), ("tls_certificate_file", &certificate), ("tls_key_file", &key)];
    let mut service = Service::start(BINARY, &settings).await;
    let first = expiry(&authority, "one.pem");
    assert_eq!(metric(&service, EXPIRY).await, Some(first));
    authority.issue_for("two", 20);
    let second = expiry(&authority, "two.pem");
    assert!(second > first);
    authority.install("two", "two");
    until(|| metric(&service, EXPIRY), |told| *told == Some(second)).await;
    // The authority in the chain expires after two days, and clients then trust neither.
    let chain = [authority.path("two.pem"), authority.path("authority.pem")]
        .map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(authority.path("chain.pem"), chain.concat()).unwrap();
    authority.install("chain", "two");
    let earliest = expiry(&authority, "authority.pem");
    until(|| metric(&service, EXPIRY), |told| *told == Some(earliest)).await;
    service.stop().await;
}
