//! One service in this process on a database of its own, with a gateway behind it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use im_push_gateway::app::App;
use im_push_gateway::base::config::Config;
use im_push_gateway::base::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use crate::support::gateway::SECRET;
use crate::support::{Client, Gateway, shared};

/// Far more than anything takes; only a failing test waits for it.
pub const LONG: Duration = Duration::from_secs(30);
/// Between two looks at something that tells nobody when it changes.
pub const LOOK: Duration = Duration::from_millis(10);
const TEMPLATE: &str = "migrated";
/// Everything that must be empty once all work is done.
pub const LEFT_OVER: &str = "SELECT (SELECT count(*) FROM v_im_push_item) \
     + (SELECT count(*) FROM t_im_push_batch) + (SELECT count(*) FROM t_im_receipt_pending) \
     + (SELECT count(*) FROM t_im_read) + (SELECT count(*) FROM t_im_event_new) + (SELECT count(*) FROM t_im_event_tally)";

/// Whatever a search may not find yet.
const UNINDEXED: &str = "SELECT (SELECT count(*) FROM t_im_index_queue) \
     + (SELECT count(*) FROM t_im_archive WHERE walk_ms_id IS NOT NULL)";

/// A running service and what a test needs of it.
pub struct TestApp {
    pub gateway: Gateway,
    pub store: Store,
    pub database: String,
    pub base: String,
    overrides: String,
    /// What the clock is ahead by at offset 0, as an interval begins.
    ahead: String,
    /// What an embedded archive keeps.
    folder: Option<TempDir>,
    /// Where uploaded files lie, of all services on this database. It is there once there is one.
    pub files: PathBuf,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// The settings of a test on `database`, with `overrides` (TOML) on top.
pub fn config(database: &str, overrides: &str) -> Config {
    let url = shared().url(database);
    let settings = [
        ("database_url", format!("\"{url}\"")),
        ("database_pool_size", "8".into()),
        // A busy machine is no reason to call the database away.
        ("readiness_wait_ms", "20000".into()),
        ("trusted_peers", "[\"127.0.0.1\"]".into()),
        ("identity_roles_header", "\"x-user-roles\"".into()),
        // Tests send as fast as the machine can.
        ("user_requests_per_second", "0".into()),
        ("poll_ms", "50".into()),
        ("lease_ms", "1000".into()),
        ("callback_retry_base_ms", "20".into()),
        ("callback_retry_max_ms", "200".into()),
        ("callback_breaker_probe_ms", "100".into()),
    ];
    let mut toml = overrides.to_owned();
    for (key, value) in settings {
        if !overrides.lines().any(|line| line.split('=').next().is_some_and(|k| k.trim() == key)) {
            toml.push_str(&format!("\n{key} = {value}"));
        }
    }
    Config::from_toml(&toml).expect("settings of a test")
}

/// A migrated database that nobody else uses.
pub async fn database() -> String {
    // With an archive a partition holds one day. Without one it holds the month, and the 40 days that a test ages its
    // messages by would not be enough for it.
    let migrate = |url: String| async move {
        let archive = "archive_url = \"embedded:unused\"";
        let config = config(url.rsplit('/').next().expect("a database in the URL"), archive);
        Store::new(&config).expect("a store").migrate(&config).await.expect("the schema migrates");
    };
    shared().template(TEMPLATE, migrate).await;
    shared().fresh_database(Some(TEMPLATE)).await
}

/// An empty database whose own rules of case are those of a locale (ICU).
pub async fn database_of(locale: &str) -> String {
    let name = shared().fresh_database(None).await;
    let sql = shared().connect("postgres").await;
    let create = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE '{locale}' LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    for statement in [format!("DROP DATABASE {name}"), create] {
        sql.batch_execute(&statement).await.expect("a database");
    }
    let lower = "SELECT lower('I') = 'ı'";
    let is_turkish: bool = shared().connect(&name).await.query_one(lower, &[]).await.expect("a row").get(0);
    assert_eq!(is_turkish, locale.starts_with("tr"));
    name
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// On a database where it is about noon, for who counts days: none ends meanwhile, whenever the test runs.
    pub async fn start_at_noon_on(database: String, overrides: &str) -> Self {
        let sql = shared().connect(&database).await;
        let minutes =
            "SELECT 720 - floor(extract(epoch FROM now() AT TIME ZONE 'UTC')::bigint % 86400 / 60)::bigint";
        let minutes: i64 = sql.query_one(minutes, &[]).await.expect("a time of day").get(0);
        let ahead = format!("{minutes} minutes ");
        let alter = format!("ALTER DATABASE {database} SET impg.clock_offset = '{ahead}'");
        sql.batch_execute(&alter).await.expect("the clock moves");
        let mut app = Self::start_on(database, overrides).await;
        app.ahead = ahead;
        app
    }

    /// With settings (TOML) over those of every test.
    pub async fn start_with(overrides: &str) -> Self {
        Self::start_on(database().await, overrides).await
    }

    /// With an embedded archive in a folder of its own.
    pub async fn with_archive(overrides: &str) -> Self {
        Self::with_archive_on(database().await, overrides, false).await
    }

    /// The same, at about noon: just after midnight a day is empty, and plans are those of an empty day.
    pub async fn with_archive_at_noon(overrides: &str) -> Self {
        Self::with_archive_on(database().await, overrides, true).await
    }

    async fn with_archive_on(database: String, overrides: &str, at_noon: bool) -> Self {
        let folder = TempDir::new().expect("a folder");
        let settings = format!("archive_url = \"embedded:{}\"\n{overrides}", folder.path().display());
        let mut app = if at_noon {
            Self::start_at_noon_on(database, &settings).await
        } else {
            Self::start_on(database, &settings).await
        };
        app.folder = Some(folder);
        app
    }

    /// On a database that another replica may serve too.
    pub async fn start_on(database: String, overrides: &str) -> Self {
        let gateway = Gateway::start();
        let callback = format!("callback_url = \"{}\"\ncallback_secrets = [\"{SECRET}\"]\n", gateway.url());
        let overrides =
            if overrides.contains("callback_url") { overrides.into() } else { callback + overrides };
        let files = std::env::temp_dir().join(format!("impg-files-{}-{database}", std::process::id()));
        let store = format!("file_store = \"folder:{}\"\n", files.display());
        let overrides = if overrides.contains("file_store") { overrides } else { store + &overrides };
        let mut app = Self {
            gateway,
            store: Store::new(&config(&database, "")).expect("a store"),
            database,
            base: String::new(),
            overrides,
            ahead: String::new(),
            folder: None,
            files,
            stop: CancellationToken::new(),
            running: None,
        };
        app.run().await;
        app
    }

    /// Starts the service (again), on another port.
    pub async fn run(&mut self) {
        // A test that fails shows what the service had to say.
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_test_writer().try_init();
        let app = App::build(config(&self.database, &self.overrides)).await.expect("the service starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.base = format!("http://{}", listener.local_addr().expect("an address"));
        crate::api::contract::watch(&self.base);
        self.stop = CancellationToken::new();
        let stop = self.stop.clone();
        self.running = Some(tokio::spawn(async move {
            app.run(listener, None, stop).await.expect("the service runs");
        }));
    }

    /// Changes a setting (its value as TOML) for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        let names = |line: &&str| line.split('=').next().is_some_and(|k| k.trim() == key);
        let others: Vec<&str> = self.overrides.lines().filter(|line| !names(line)).collect();
        self.overrides = format!("{}\n{key} = {value}\n", others.join("\n"));
    }

    /// Waits until a search finds everything that was sent.
    pub async fn indexed(&self) {
        self.until(UNINDEXED, 0).await;
    }

    /// Stops the service as SIGTERM does.
    pub async fn halt(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.expect("the service ends in order");
        }
    }

    /// Stops, moves the clock that messages are stamped by, and runs again.
    pub async fn clock(&mut self, offset: &str) {
        self.halt().await;
        let alter =
            format!("ALTER DATABASE {} SET impg.clock_offset = '{}{offset}'", self.database, self.ahead);
        self.sql().await.batch_execute(&alter).await.expect("the clock moves");
        // Connections that were open before have the old clock.
        self.store = Store::new(&config(&self.database, "")).expect("a store");
        self.run().await;
    }

    /// Every item of a listing, page by page.
    pub async fn all(&self, client: &Client, path: &str) -> Vec<Value> {
        let glue = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut at) = (Vec::new(), path.to_owned());
        loop {
            let page = client.get(&at).await.expect(200);
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else {
                return items;
            };
            let kept: Vec<&str> = path
                .split(['?', '&'])
                .filter(|p| p.starts_with("limit=") || p.starts_with("reason="))
                .collect();
            let base = path.split('?').next().expect("a path");
            at = match path.contains("/messages?q") || path.contains("/search/") || path.contains("/support/")
            {
                true => format!("{path}{glue}cursor={cursor}"),
                false => format!("{base}?cursor={cursor}&{}", kept.join("&")),
            };
        }
    }

    /// A person, or a machine with roles.
    pub fn client(&self, user_id: &str, roles: &[&str]) -> Client {
        Client::new(&format!("{}/api/v1", self.base), user_id, roles)
    }

    pub fn person(&self, user_id: &str) -> Client {
        self.client(user_id, &[])
    }

    /// Puts people into the directory; their names are their ids in capitals.
    pub async fn people(&self, ids: &[&str]) {
        let users: Vec<Value> =
            ids.iter().map(|id| json!({"user_id": id, "name": id.to_uppercase()})).collect();
        let reply =
            self.client("hr", &["directory"]).post("/directory/changes", json!({"users": users})).await;
        assert_eq!(reply.expect(200)["users"]["applied"], ids.len());
    }

    /// People `u00001`… in bulk, straight into the table; no search finds them.
    pub async fn crowd(&self, count: i64) -> Vec<String> {
        let sql = "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
                   SELECT 'u' || to_char(i, 'FM00000'), 'n' || i, now(), false FROM generate_series(1, $1::bigint) i \
                   ON CONFLICT DO NOTHING";
        self.sql().await.execute(sql, &[&count]).await.expect("a crowd");
        (1..=count).map(|i| format!("u{i:05}")).collect()
    }

    /// A direct channel of two people, by its id.
    pub async fn direct(&self, one: &str, other: &str) -> String {
        let reply = self.person(one).post("/channels", json!({"type": "direct", "members": [other]})).await;
        assert!(reply.status == 201 || reply.status == 200, "{reply:?}");
        text(&reply.body["channel_id"])
    }

    /// A group with its owner first.
    pub async fn group(&self, members: &[&str]) -> String {
        let body = json!({"name": "a group", "members": members[1..]});
        text(&self.person(members[0]).post("/groups", body).await.expect(201)["channel_id"])
    }

    /// Sends a text and returns the acknowledgement.
    pub async fn say(&self, sender: &str, channel: &str, words: &str) -> Value {
        let body = json!({"type": "text", "content": {"text": words}});
        self.person(sender).post(&format!("/channels/{channel}/messages"), body).await.expect(201)
    }

    /// The conversation of a person in a channel, as the list shows it.
    pub async fn conversation(&self, person: &str, channel: &str) -> Value {
        let list = self.person(person).get("/conversations?limit=200").await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        items.into_iter().find(|item| item["channel_id"] == channel).unwrap_or(Value::Null)
    }

    pub async fn unread(&self, person: &str, channel: &str) -> i64 {
        self.conversation(person, channel).await["unread_count"].as_i64().expect("a conversation")
    }

    /// Seqs of a page of history, in the order given.
    pub async fn seqs(&self, person: &str, channel: &str, query: &str) -> Vec<i64> {
        let page = self.person(person).get(&format!("/channels/{channel}/messages{query}")).await.expect(200);
        page["items"].as_array().expect("items").iter().map(|m| m["seq"].as_i64().expect("seq")).collect()
    }

    /// Status and verdict of each receiver of a message.
    pub async fn ledger(&self, ms_id: &Value) -> Vec<(String, String, Value)> {
        let path = format!("/messages/{}/receipts?limit=200&reason=a+test", text(ms_id));
        let page = self.client("desk", &["support"]).get(&path).await.expect(200);
        let items = page["items"].as_array().expect("items");
        items.iter().map(|i| (text(&i["receiver"]), text(&i["status"]), i["verdict"].clone())).collect()
    }

    pub async fn sql(&self) -> tokio_postgres::Client {
        shared().connect(&self.database).await
    }

    /// A number that a query of one row and column gives.
    pub async fn count(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> i64 {
        self.sql().await.query_one(sql, params).await.expect("a count").get(0)
    }

    /// Waits until a query gives this number; too late is a panic.
    pub async fn until(&self, sql: &str, wanted: i64) {
        self.until_with(sql, &[], wanted).await;
    }

    /// The same with parameters.
    pub async fn until_with(&self, sql: &str, params: &[&(dyn ToSql + Sync)], wanted: i64) {
        let client = self.sql().await;
        let started = Instant::now();
        loop {
            let now: i64 = client.query_one(sql, params).await.expect("a count").get(0);
            if now == wanted {
                return;
            }
            assert!(started.elapsed() < LONG, "still {now}, not {wanted}: {sql}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nothing is queued, leased or pending.
    pub async fn settled(&self) {
        self.until(LEFT_OVER, 0).await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

/// A JSON string, as text.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The store of a database of one's own, without a service.
pub async fn store() -> Store {
    Store::new(&config(&database().await, "")).expect("a store")
}
