//! Replicas behind which people talk all the while, and what is found afterwards.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{LEFT_OVER, LOOK, text};
use crate::support::gateway::SECRET;
use crate::support::{Client, Gateway, Reply, Service};

pub const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
/// Far more than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Channels, each with one who sends.
const CHANNELS: usize = 6;
/// Members of a channel, the sender among them.
const MEMBERS: usize = 3;
/// Between two sends of a sender, and between two tries of one send.
const PAUSE: Duration = Duration::from_millis(20);

/// A channel whose first member sends.
#[derive(Clone)]
pub struct Channel {
    pub id: String,
    pub members: Vec<String>,
}

/// Replicas on one database, their gateway, and channels of people.
pub struct Scene {
    pub services: Vec<Service>,
    pub gateway: Gateway,
    pub channels: Vec<Channel>,
    url: String,
    settings: Vec<(String, String)>,
}

/// One try of a send, and what came of it.
#[derive(Debug, Clone)]
pub struct Try {
    pub channel: usize,
    /// 0: the first try of its send.
    pub turn: usize,
    pub began: Instant,
    pub took: Duration,
    /// None: no answer.
    pub status: Option<u16>,
    /// What a refusal says.
    pub detail: String,
}

impl Try {
    pub fn is_done(&self) -> bool {
        self.status.is_some_and(|status| status < 300)
    }
}

impl Scene {
    /// So many replicas of this version on the database at `url`.
    pub async fn start(url: &str, replicas: usize, settings: &[(&str, &str)]) -> Self {
        let mut scene = Self::of(BINARY, url, settings).await;
        for _ in 1..replicas {
            scene.join(BINARY).await;
        }
        scene
    }

    /// One replica by this binary.
    pub async fn of(binary: &str, url: &str, settings: &[(&str, &str)]) -> Self {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut scene = Self {
            services: Vec::new(),
            gateway: Gateway::start(),
            channels: Vec::new(),
            url: url.to_owned(),
            settings: settings.iter().map(own).collect(),
        };
        scene.join(binary).await;
        scene.people().await;
        scene
    }

    /// One more replica by this binary.
    pub async fn join(&mut self, binary: &str) {
        let callback = self.gateway.url();
        let mut settings = vec![
            ("log", "warn,im_push_gateway=info"),
            ("database_url", self.url.as_str()),
            ("callback_url", &callback),
            ("callback_secrets", SECRET),
        ];
        settings.extend(self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        self.services.push(Service::start(binary, &settings).await);
    }

    async fn people(&mut self) {
        let api = self.services[0].api();
        let names = |channel: usize| (0..MEMBERS).map(move |member| format!("p{channel}{member}"));
        let users: Vec<Value> =
            (0..CHANNELS).flat_map(names).map(|id| json!({"user_id": id, "name": id})).collect();
        let hr = Client::new(&api, "hr", &["directory"]);
        hr.post("/directory/changes", json!({"users": users})).await.expect(200);
        for channel in 0..CHANNELS {
            let members: Vec<String> = names(channel).collect();
            let body = json!({"name": "a group", "members": members[1..]});
            let made = Client::new(&api, &members[0], &[]).post("/groups", body).await.expect(201);
            self.channels.push(Channel { id: text(&made["channel_id"]), members });
        }
    }

    /// A member of the first channel, at a replica.
    pub fn member(&self, replica: usize) -> Client {
        Client::new(&self.services[replica].api(), &self.channels[0].members[0], &[])
    }

    pub async fn sql(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.expect("the database answers");
        tokio::spawn(connection);
        client
    }

    /// What the probe of a replica says, once it says so; the probe answers all the while.
    pub async fn ready(&self, replica: usize, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let probe = Client::anonymous(&self.services[replica].url());
        let started = Instant::now();
        loop {
            let reply = probe.get("/readyz").await;
            if wanted(&reply) {
                return reply;
            }
            assert!(started.elapsed() < PATIENCE, "still {}", reply.body);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a query that counts gives this.
    pub async fn until(&self, sql: &str, wanted: i64) {
        let (client, started) = (self.sql().await, Instant::now());
        loop {
            let now: i64 = client.query_one(sql, &[]).await.expect("a count").get(0);
            if now == wanted {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "still {now}, not {wanted}: {sql}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everyone who sends begins to. They go from replica to replica.
    pub fn talk(&self) -> Talk {
        self.talk_on(&[0; CHANNELS])
    }

    /// The same after so many messages of each channel.
    pub fn talk_on(&self, last: &[usize]) -> Talk {
        let shared = Arc::new(Shared {
            addresses: self.services.iter().map(Service::api).collect(),
            stop: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            tries: Mutex::default(),
            last: std::array::from_fn(|channel| AtomicUsize::new(last[channel])),
        });
        let mut senders = JoinSet::new();
        for (number, channel) in self.channels.iter().cloned().enumerate() {
            senders.spawn(sender(shared.clone(), number, channel));
        }
        Talk { shared, senders }
    }

    /// All that was said is there once and in order, each receiver has it, and the gateway saw it in order. `seen`
    /// is false where the gateway has forgotten.
    pub async fn verify(&self, last: &[usize], seen: bool) {
        self.until(LEFT_OVER, 0).await;
        let sql = self.sql().await;
        for (channel, last) in self.channels.iter().zip(last) {
            let id: i64 = channel.id.parse().expect("an id");
            let rows =
                "SELECT seq, content ->> 'text' FROM t_im_message WHERE channel_id = $1 ORDER BY ms_id";
            let rows = sql.query(rows, &[&id]).await.expect("messages");
            let found: Vec<(i64, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let wanted: Vec<(i64, String)> = (1..=*last).map(|n| (n as i64, said(n))).collect();
            assert_eq!(found.len(), wanted.len(), "messages of channel {id}");
            assert!(found == wanted, "channel {id} has other messages, or in another order");
            let receivers = (last * (channel.members.len() - 1)) as i64;
            let ledger = "SELECT count(*), count(*) FILTER (WHERE p.status >= 1) FROM t_im_message_push p \
                          JOIN t_im_message m USING (ms_id) WHERE m.channel_id = $1";
            let row = sql.query_one(ledger, &[&id]).await.expect("the ledger");
            assert_eq!(
                (row.get::<_, i64>(0), row.get::<_, i64>(1)),
                (receivers, receivers),
                "ledger of {id}"
            );
            if seen {
                self.seen_in_order(channel, *last);
            }
        }
    }

    fn seen_in_order(&self, channel: &Channel, last: usize) {
        self.gateway.read(|record| {
            assert!(record.refusals.is_empty(), "the gateway refused {:?}", record.refusals);
            let sightings = record.first_sightings(&channel.id);
            for receiver in &channel.members[1..] {
                let seqs = sightings.iter().filter(|(_, _, who)| who == receiver).map(|(seq, ..)| *seq);
                assert!(
                    seqs.eq(1..=last as i64),
                    "{receiver} in channel {}: lost, or in another order",
                    channel.id
                );
            }
        });
    }
}

/// What the n-th message of a channel says.
pub fn said(n: usize) -> String {
    format!("say {n}")
}

struct Shared {
    addresses: Vec<String>,
    stop: AtomicBool,
    /// An answer was one that a caller cannot use.
    broken: AtomicBool,
    tries: Mutex<Vec<Try>>,
    /// The number of the last send, by channel.
    last: [AtomicUsize; CHANNELS],
}

/// People who send, one message of a channel after another, each until it is acknowledged.
pub struct Talk {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
}

/// Says that its sender has panicked.
struct Watched(Arc<Shared>);

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.store(true, Ordering::Relaxed);
        }
    }
}

async fn sender(shared: Arc<Shared>, channel: usize, whose: Channel) {
    let _watched = Watched(shared.clone());
    let replicas: Vec<Client> =
        shared.addresses.iter().map(|api| Client::new(api, &whose.members[0], &[])).collect();
    let path = format!("/channels/{}/messages", whose.id);
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.last[channel].fetch_add(1, Ordering::Relaxed) + 1;
        let body = json!({"client_id": said(number), "type": "text", "content": {"text": said(number)}});
        for turn in 0.. {
            let (began, client) = (Instant::now(), &replicas[(channel + number + turn) % replicas.len()]);
            let reply = client.try_call(Method::POST, &path, Some(body.clone())).await;
            let (status, detail) = judge(reply);
            let tried = Try { channel, turn, began, took: began.elapsed(), status, detail };
            let is_done = tried.is_done();
            shared.tries.lock().expect("no panic while held").push(tried);
            tokio::time::sleep(PAUSE).await;
            if is_done {
                break;
            }
        }
    }
}

/// An answer is an acknowledgement, or a refusal that says when to come back.
fn judge(reply: Result<Reply, reqwest::Error>) -> (Option<u16>, String) {
    let Ok(reply) = reply else {
        return (None, String::new());
    };
    if let 200 | 201 = reply.status {
        return (Some(reply.status), String::new());
    }
    assert!(!reply.header("retry-after").is_empty(), "{reply:?}");
    // What was under way when the database went has waited as long as a request may.
    let is_late = reply.body["type"].as_str().is_some_and(|kind| kind.ends_with(":timeout"));
    let problem = reply.expect_problem(503, if is_late { "timeout" } else { "unavailable" });
    (Some(503), problem["detail"].as_str().unwrap_or_default().to_owned())
}

impl Talk {
    pub fn tries(&self) -> Vec<Try> {
        self.shared.tries.lock().expect("no panic while held").clone()
    }

    /// What was tried since the last time.
    pub fn take(&self) -> Vec<Try> {
        std::mem::take(&mut *self.shared.tries.lock().expect("no panic while held"))
    }

    async fn until(&self, what: &str, wanted: impl Fn(&[Try]) -> bool) {
        let started = Instant::now();
        while !wanted(&self.shared.tries.lock().expect("no panic while held")) {
            let last = self.tries().pop();
            assert!(!self.shared.broken.load(Ordering::Relaxed), "{what}: a sender has panicked");
            assert!(started.elapsed() < PATIENCE, "{what}: not yet, the last try is {last:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until each sender has had a send acknowledged that began from now on.
    pub async fn acknowledged(&self) {
        let from = Instant::now();
        let by = |tries: &[Try], channel| {
            tries.iter().any(|tried| tried.channel == channel && tried.began >= from && tried.is_done())
        };
        self.until("acknowledged", |tries| (0..CHANNELS).all(|channel| by(tries, channel))).await;
    }

    /// Waits until a send is answered that began from now on, however that is.
    pub async fn answered(&self) {
        let from = Instant::now();
        self.until("answered", |tries| tries.iter().any(|tried| tried.began >= from)).await;
    }

    /// The number of the last message of a channel that is acknowledged for sure.
    pub fn acknowledged_of(&self, channel: usize) -> usize {
        self.shared.last[channel].load(Ordering::Relaxed).saturating_sub(1).max(1)
    }

    /// Waits until a send is refused that began from now on, with this text if one is given.
    pub async fn refused(&self, detail: Option<&str>) {
        let from = Instant::now();
        let is_one = |tried: &Try| {
            tried.began >= from
                && tried.status == Some(503)
                && detail.is_none_or(|detail| detail == tried.detail)
        };
        self.until("refused", |tries| tries.iter().any(is_one)).await;
    }

    /// Nobody begins another send. Returns how much was said in each channel.
    pub async fn end(mut self) -> (Vec<usize>, Vec<Try>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended.expect("each answer is one that a caller can use");
        }
        let last = self.shared.last.iter().map(|last| last.load(Ordering::Relaxed)).collect();
        (last, self.take())
    }
}

/// When the cause was mended, and what it was.
pub struct Mended {
    fault: &'static str,
    at: Instant,
}

impl Mended {
    pub fn now(fault: &'static str) -> Self {
        Self { fault, at: Instant::now() }
    }

    /// Waits until all is well, without a hand: sends are acknowledged, probes say so, and when nobody sends any
    /// more, all of it is pushed. Says how long that took, and verifies what there is. Returns all tries.
    pub async fn well(self, scene: &Scene, talk: Talk) -> Vec<Try> {
        talk.acknowledged().await;
        let sends = self.at.elapsed();
        for replica in 0..scene.services.len() {
            scene.ready(replica, |reply| reply.status == 200).await;
        }
        let ready = self.at.elapsed();
        let (last, tries) = talk.end().await;
        scene.until(LEFT_OVER, 0).await;
        let pushed = self.at.elapsed();
        let refused = tries.iter().filter(|tried| tried.status == Some(503));
        let slowest = refused.clone().map(|tried| tried.took).max().unwrap_or_default();
        println!(
            "{}: {} sends, {} tries refused (the slowest after {slowest:.1?}), {} without an answer; \
             sends after {sends:.1?}, ready after {ready:.1?}, all pushed after {pushed:.1?}",
            self.fault,
            last.iter().sum::<usize>(),
            refused.count(),
            tries.iter().filter(|tried| tried.status.is_none()).count(),
        );
        scene.verify(&last, true).await;
        tries
    }
}

/// Every try had an answer: the service itself was never away.
pub fn all_answered(tries: &[Try]) {
    let silent = tries.iter().find(|tried| tried.status.is_none());
    assert!(silent.is_none(), "{silent:?}");
}
