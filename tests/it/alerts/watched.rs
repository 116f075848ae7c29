//! A replica that Prometheus watches: what it saw before a fault and during it, and whether an alert fires.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::base::database::until;
use crate::support::gateway::SECRET;
use crate::support::{Client, Cluster, Gateway, Service, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/im-push-gateway/files/alerts.yaml");
/// Minutes for which Prometheus sees each moment: the first, those of a fault, and the last. It asks every minute. The
/// last is longer than any alert waits.
const CALM: usize = 10;
const EACH: usize = 4;
const LAST: usize = 75;
/// The end of the names of gauges that hold a point in time.
const TIMESTAMP: &str = "_timestamp_seconds";

/// The values of a scrape by their series, as they stand there.
type Scrape = BTreeMap<String, String>;

/// The replica, with a gateway behind it.
pub struct Watched {
    pub service: Service,
    pub gateway: Gateway,
    pub database: String,
    /// What was scraped, moment by moment; nothing while it could not be.
    moments: Vec<Option<Scrape>>,
}

impl Watched {
    /// On a database of its own, with these settings. The first moment is before the fault.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::at("0", settings).await
    }

    /// The same with a clock that differs by `offset`.
    pub async fn at(offset: &str, settings: &[(&str, &str)]) -> Self {
        let database = crate::app::database().await;
        set_clock(&database, offset).await;
        Self::on(shared(), database, settings).await
    }

    pub async fn on(cluster: &Cluster, database: String, settings: &[(&str, &str)]) -> Self {
        let gateway = Gateway::start();
        gateway.ignore_time();
        let (url, callback) = (cluster.url(&database), gateway.url());
        let mut all = vec![
            ("database_url", url.as_str()),
            ("database_pool_size", "8"),
            ("readiness_wait_ms", "20000"),
            ("callback_url", callback.as_str()),
            ("callback_secrets", SECRET),
            ("callback_retry_base_ms", "20"),
            ("callback_retry_max_ms", "200"),
            ("poll_ms", "50"),
            ("lease_ms", "1000"),
        ];
        all.extend_from_slice(settings);
        let service = Service::start(BINARY, &all).await;
        let mut watched = Self { service, gateway, database, moments: Vec::new() };
        // The first reading of the gauges is over.
        watched.sees("impg_partitions", 1.0).await;
        watched
    }

    /// Starts again with a clock that differs by `offset`. The gauges are read again at once.
    pub async fn restart_at(&mut self, offset: &str) {
        set_clock(&self.database, offset).await;
        self.service.restart().await;
    }

    pub fn client(&self, user_id: &str, roles: &[&str]) -> Client {
        Client::new(&self.service.api(), user_id, roles)
    }

    /// Two users and their channel, by its path.
    pub async fn channel(&self) -> String {
        let users = json!({"users": [{"user_id": "a", "name": "A"}, {"user_id": "b", "name": "B"}]});
        self.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
        let direct = json!({"type": "direct", "members": ["b"]});
        let made = self.client("a", &[]).post("/channels", direct).await.expect(201);
        format!("/channels/{}", made["channel_id"].as_str().expect("an id"))
    }

    /// Sends a text to the channel of [`Watched::channel`].
    pub async fn say(&self, channel: &str) -> Value {
        let body = json!({"type": "text", "content": {"text": "hello"}});
        self.client("a", &[]).post(&format!("{channel}/messages"), body).await.expect(201)
    }

    pub async fn sql(&self) -> tokio_postgres::Client {
        shared().connect(&self.database).await
    }

    /// Waits until a query gives this number.
    pub async fn counts(&self, query: &str, wanted: i64) {
        let sql = self.sql().await;
        until(
            || async { sql.query_one(query, &[]).await.expect("a count").get::<_, i64>(0) },
            |n| *n == wanted,
        )
        .await;
    }

    /// Prometheus looks now.
    pub async fn look(&mut self) {
        let scrape = self.scrape().await;
        self.moments.push(scrape);
    }

    /// Waits until one of the series that begin with `name` has this value or a larger one. Prometheus sees that moment.
    pub async fn sees(&mut self, name: &str, least: f64) {
        self.sees_that(name, |value| value >= least).await;
    }

    /// The same for a value that is as it is wanted.
    pub async fn sees_that(&mut self, name: &str, wanted: impl Fn(f64) -> bool) {
        let there = |scrape: &Option<Scrape>| {
            let mut series = scrape.iter().flatten().filter(|(key, _)| key.starts_with(name));
            series.any(|(_, value)| value.parse::<f64>().is_ok_and(&wanted))
        };
        let scrape = until(|| self.scrape(), there).await;
        self.moments.push(scrape);
    }

    /// The value of the series with this whole name.
    pub async fn value(&self, name: &str) -> f64 {
        let scrape = self.scrape().await.expect("it answers");
        scrape.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    async fn scrape(&self) -> Option<Scrape> {
        let answer = reqwest::get(self.service.metrics_url()).await.ok()?;
        let text = answer.text().await.ok()?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        Some(series.map(|(name, value)| (name.to_owned(), as_told(name, value))).collect())
    }

    /// Fails unless none of these alerts is active before the fault, and each fires in the end.
    pub fn fires(&self, alerts: &[&str]) {
        assert!(self.moments.len() > 1, "Prometheus must look before the fault and during it");
        let minutes: usize = (0..self.moments.len()).map(|i| self.minutes(i)).sum();
        let firing = |alert: &&str| {
            json!({
                "expr": format!("group by (alertname) (max_over_time(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}[2h]))"),
                "eval_time": format!("{}m", minutes - 1),
                "exp_samples": [{"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1}],
            })
        };
        let calm = json!({
            "expr": format!("group by (alertname) (ALERTS{{alertname=~\"{}\"}})", alerts.join("|")),
            "eval_time": format!("{}m", CALM - 1),
            "exp_samples": [],
        });
        let questions: Vec<Value> = std::iter::once(calm).chain(alerts.iter().map(firing)).collect();
        let test = json!({
            "rule_files": [RULES], "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": self.series(), "promql_expr_test": questions}],
        });
        let file = NamedTempFile::with_suffix(".yaml").expect("a file");
        std::fs::write(file.path(), test.to_string()).expect("it is written");
        let asked = Command::new("promtool").args(["test", "rules"]).arg(file.path()).output();
        let asked = asked.expect("promtool, from tests/tools");
        assert!(
            asked.status.success(),
            "{}{}\n{:?}\n{}",
            String::from_utf8_lossy(&asked.stdout),
            String::from_utf8_lossy(&asked.stderr),
            self.moments.last(),
            self.service.log_tail()
        );
    }

    fn minutes(&self, moment: usize) -> usize {
        match moment {
            0 => CALM,
            _ if moment + 1 == self.moments.len() => LAST,
            _ => EACH,
        }
    }

    /// All series of all moments, as promtool takes them.
    fn series(&self) -> Vec<Value> {
        let scrapes = self.moments.iter().flatten();
        let keys: BTreeSet<&str> = scrapes.flat_map(BTreeMap::keys).map(String::as_str).collect();
        let own =
            keys.into_iter().map(|key| (labelled(key), self.values(|scrape| scrape?.get(key).cloned())));
        let up = self.values(|scrape| Some(u8::from(scrape.is_some()).to_string()));
        let all = own.chain([(labelled("up"), up)]);
        all.map(|(series, values)| json!({"series": series, "values": values})).collect()
    }

    /// The value of each minute. What is gone is stale, as Prometheus marks it; what has not come yet is missing.
    fn values(&self, value: impl Fn(Option<&Scrape>) -> Option<String>) -> String {
        let (mut values, mut was_there) = (String::new(), false);
        for (i, scrape) in self.moments.iter().enumerate() {
            let value = value(scrape.as_ref());
            was_there |= value.is_some();
            let value = value.unwrap_or_else(|| if was_there { "stale" } else { "_" }.to_owned());
            for _ in 0..self.minutes(i) {
                write!(values, "{value} ").expect("a string");
            }
        }
        values.trim_end().to_owned()
    }
}

/// A value as promtool is told it. Its clock begins at 0, so a point in time counts from now.
#[expect(clippy::disallowed_methods, reason = "the service tells a time of the real clock")]
fn as_told(series: &str, value: &str) -> String {
    let name = series.split('{').next().unwrap_or(series);
    match value.parse::<f64>() {
        Ok(at) if name.ends_with(TIMESTAMP) => {
            (at - time::OffsetDateTime::now_utc().unix_timestamp() as f64).to_string()
        }
        _ => value.to_owned(),
    }
}

/// With the labels that Prometheus adds.
fn labelled(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let comma = if labels == "}" { "" } else { "," };
    format!("{name}{{job=\"im-push-gateway\",instance=\"a\"{comma}{labels}")
}

async fn set_clock(database: &str, offset: &str) {
    let alter = format!("ALTER DATABASE {database} SET impg.clock_offset = '{offset}'");
    shared().connect(database).await.batch_execute(&alter).await.expect("the clock moves");
}
