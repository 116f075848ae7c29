//! The processes of the demo, the callers, and the record of acknowledged sends.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::books::{Books, Counts};
use crate::company::{self, Person};
use crate::gateway::Process;
use crate::support::gateway::SECRET;
use crate::support::sandbox::POLL;
use crate::support::{Client, Cluster, Hr, Reply, Sandbox, Service};
use crate::tell;

pub const DATABASE: &str = "demo";
/// The mapping of HR's fields. It replaces the defaults, which have no picture.
const USER_FIELDS: &str = "external_id=/id,name=/name,head_icon=/head_icon,department_ids=/department_ids/*";
/// The longest wait for a condition. After it the demo fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The fields are dropped in this order.
pub struct Stage {
    pub service: Service,
    pub gateway: Process,
    /// The HR service with its data.
    pub hr: Hr,
    pub cluster: Cluster,
    /// The folder of the embedded archive.
    archive: Sandbox,
    pub people: Vec<Person>,
    pub books: Books,
    /// Users who have left the company.
    pub left: BTreeSet<String>,
    http: Client,
}

/// A caller of the API.
#[derive(Clone)]
pub struct Caller {
    pub user_id: String,
    pub name: String,
    pub client: Client,
}

impl Stage {
    pub async fn open() -> Self {
        tell::chapter("The parts, each in its own process");
        let binary = Service::binary_beside_us();
        let cluster = Cluster::start();
        cluster.create_database(DATABASE, None).await;
        tell::note(&format!("PostgreSQL  port {}, data in {}", cluster.port(), cluster.path().display()));
        let gateway = Process::start();
        tell::note(&format!("gateway     {}  pid {}", gateway.push_url, gateway.pid()));
        let archive = Sandbox::new("archive", "");
        tell::note(&format!("archive     embedded in the service, index in {}", archive.path().display()));
        let people = company::people();
        let hr = Hr::start().await;
        tell::note(&format!("HR          {}  {} users", hr.url(), people.len()));
        for department in company::departments() {
            hr.books().put_department(department);
        }
        for person in &people {
            hr.books().put(company::entry(person));
        }
        let asking = hr.pairs();
        let settings = [
            ("database_url", cluster.url(DATABASE)),
            ("callback_url", gateway.push_url.clone()),
            ("callback_secrets", SECRET.to_owned()),
            // Shorter than the defaults, so that the outage is short. A batch that a killed service was
            // pushing stays leased for the callback's timeout plus the margin.
            ("callback_timeout_ms", "2000".to_owned()),
            ("callback_lease_margin_ms", "3000".to_owned()),
            ("callback_retry_max_ms", "2000".to_owned()),
            ("callback_breaker_probe_ms", "1000".to_owned()),
            ("archive_url", archive_url(&archive)),
            // Tables of a cold day are dropped after the last request that may read them.
            ("request_timeout_ms", "2000".to_owned()),
            ("archive_drop_grace_ms", "2001".to_owned()),
            // The demo moves days by command, so the schedule must not run.
            ("archive_schedule", "0 0 29 2 *".to_owned()),
            // New users get a picture from HR. Later they change it themselves.
            ("directory_user_fields", USER_FIELDS.to_owned()),
        ];
        let asking = asking.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let settings = settings.iter().map(|(key, value)| (*key, value.as_str()));
        let settings: Vec<(&str, &str)> = settings.chain(asking).collect();
        let service = Service::start(&binary, &settings).await;
        let pid = service.pid().expect("it runs");
        tell::note(&format!("service     {}  pid {pid}, docs at {}/docs", service.url(), service.url()));
        Self {
            http: Client::anonymous(&service.api()),
            service,
            gateway,
            hr,
            cluster,
            archive,
            people,
            books: Books::default(),
            left: BTreeSet::new(),
        }
    }

    /// The `n`th user of the company, authenticated by the API gateway.
    pub fn person(&self, n: usize) -> Caller {
        let Person { user_id, name, .. } = self.people[n].clone();
        let client = self.http.person(&user_id);
        Caller { user_id, name, client }
    }

    /// A client that acts as any user.
    pub fn reader(&self, user_id: &str) -> Client {
        self.http.person(user_id)
    }

    pub fn find(&self, user_id: &str) -> Caller {
        let at = self.people.iter().position(|person| person.user_id == user_id);
        self.person(at.expect("a user of the company"))
    }

    /// A machine with a role.
    pub fn machine(&self, name: &str, role: &str) -> Caller {
        let user_id = name.to_lowercase();
        let client = self.http.person(&user_id).with_roles(&[role]);
        Caller { user_id, name: format!("{name} ({role})"), client }
    }

    /// A caller with this token.
    pub fn bearer(&self, user_id: &str, name: &str, token: &str) -> Caller {
        let client = self.http.clone().with_header("authorization", &format!("Bearer {token}"));
        Caller { user_id: user_id.to_owned(), name: name.to_owned(), client }
    }

    /// Sends a text, and shows it as a chat line.
    pub async fn say(&mut self, who: &Caller, channel_id: &str, text: &str) -> Value {
        let body = json!({"type": "text", "content": {"text": text}});
        let path = format!("/channels/{channel_id}/messages");
        let sent = who.client.post(&path, body).await.expect(201);
        self.books.said(channel_id, &who.user_id, &sent);
        tell::quote(&who.name, sent["seq"].as_i64().expect("a number"), text);
        sent
    }

    /// Sends a message, and shows the call.
    pub async fn send(&mut self, who: &Caller, channel_id: &str, message: Value) -> Value {
        let call = format!("POST /channels/{channel_id}/messages");
        let sent = who.call(&call, message, &["seq", "ms_id"]).await.expect(201);
        self.books.said(channel_id, &who.user_id, &sent);
        sent
    }

    /// Sends many texts in one bulk call. Returns the reply.
    pub async fn send_many(&mut self, who: &Caller, texts: &[(&str, String)]) -> Reply {
        let message = |(channel_id, text): &(&str, String)| json!({"channel_id": channel_id, "type": "text", "content": {"text": text}});
        let messages: Vec<Value> = texts.iter().map(message).collect();
        let reply = who.client.post("/messages", json!(messages)).await;
        let results = reply.clone().expect(200)["results"].take();
        for ((channel_id, _), result) in texts.iter().zip(results.as_array().expect("results")) {
            assert_eq!(result["status"], 201, "{result}");
            self.books.said(channel_id, &who.user_id, result);
        }
        tell::call(&who.name, ("POST", "/messages"), &json!(messages), (&reply, &["results"]));
        reply
    }

    /// Creates a group of all members of a team, owned by the first. Returns the channel id and the owner.
    pub async fn team(&mut self, team: usize) -> (String, Caller) {
        let mates: Vec<usize> = (0..self.people.len()).filter(|n| self.people[*n].team == team).collect();
        let founder = self.person(mates[0]);
        let others: Vec<String> = mates[1..].iter().map(|n| self.people[*n].user_id.clone()).collect();
        let body = json!({"name": company::TEAMS[team].1, "members": others});
        let group = founder.client.post("/groups", body).await.expect(201);
        let channel_id = id(&group, "channel_id");
        self.books.founded(&channel_id, &founder.user_id, &others);
        (channel_id, founder)
    }

    /// Returns after the gateway has received all recorded messages.
    pub async fn all_pushed(&self) {
        self.gateway.wait_for_pairs(self.books.pairs()).await;
    }

    /// The counts of one message, from the service.
    pub async fn ledger(&self, who: &Caller, ms_id: &str) -> Counts {
        let path = format!("/messages/{ms_id}/receipts?reason=demo&limit=1");
        let ledger = who.client.get(&path).await.expect(200);
        let count =
            |name: &str| usize::try_from(ledger["counts"][name].as_u64().expect("a count")).expect("small");
        Counts { unreceived: count("unreceived"), received: count("received"), read: count("read") }
    }

    /// Waits until the ledger of one message matches the record, and shows it.
    pub async fn ledger_as_booked(&self, who: &Caller, ms_id: &str) {
        let said = self.books.find(ms_id);
        let expected = self.books.counts(said);
        until("the ledger matches the record", async || self.ledger(who, ms_id).await == expected).await;
        tell::bar(&expected);
    }

    /// Waits until a run of the directory is done.
    pub async fn run_ended(&self, who: &Caller, run_id: &str) -> Value {
        let path = format!("/directory/runs/{run_id}");
        until("the directory run is done", async || {
            who.client.get(&path).await.expect(200)["state"] == "done"
        })
        .await;
        who.get(&path, &["mode", "state", "counts"]).await
    }

    /// The gateway's callback, as administrators see it.
    pub async fn callback(&self) -> Value {
        let operator = self.machine("Ops", "admin");
        operator.client.get("/callbacks").await.expect(200)["items"][0].take()
    }

    pub fn archive_url(&self) -> String {
        archive_url(&self.archive)
    }

    /// Stops the service, moves its clock and starts it again.
    pub async fn set_clock(&mut self, offset: &str) {
        self.service.stop().await;
        let alter = format!("ALTER DATABASE {DATABASE} SET impg.clock_offset = '{offset}'");
        self.cluster.connect(DATABASE).await.batch_execute(&alter).await.expect("the clock moves");
        self.service.restart().await;
    }

    /// Runs `im-push-gateway token create`, shows the command and returns the token.
    pub fn create_token(&self, name: &str, user_id: &str) -> String {
        let arguments = ["token", "create", "--name", name, "--user-id", user_id, "--days", "30"];
        let binary: PathBuf = Service::binary_beside_us();
        let output = Command::new(binary)
            .args(arguments)
            .env("IMPG_DATABASE_URL", self.cluster.url(DATABASE))
            .output()
            .expect("the service's binary runs");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown: String = said.chars().take(14).collect();
        tell::note(&format!("$ im-push-gateway {}   → {shown}…", arguments.join(" ")));
        said
    }
}

impl Drop for Stage {
    /// After a panic, prints the end of the logs.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nthe end of the service's log:\n{}", self.service.log_tail());
            eprintln!("\nthe end of the gateway's log:\n{}", self.gateway.log_tail());
        }
    }
}

impl Caller {
    /// Makes the call `METHOD /path`, and shows these fields of its answer.
    pub async fn call(&self, call: &str, body: Value, shown: &[&str]) -> Reply {
        let (method, path) = call.split_once(' ').expect("METHOD /path");
        let known = Method::from_bytes(method.as_bytes()).expect("a method");
        let sent = Some(body.clone()).filter(|body| !body.is_null());
        let reply = self.client.try_call(known, path, sent).await;
        let reply = reply.unwrap_or_else(|e| panic!("{call}: {e:?}"));
        tell::call(&self.name, (method, path), &body, (&reply, shown));
        reply
    }

    pub async fn get(&self, path: &str, shown: &[&str]) -> Value {
        self.call(&format!("GET {path}"), Value::Null, shown).await.expect(200)
    }
}

fn archive_url(folder: &Sandbox) -> String {
    format!("embedded:{}", folder.path().join("index").display())
}

/// A string field of an answer.
pub fn id(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

/// Polls until the condition is true.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}
