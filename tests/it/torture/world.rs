//! What the load runs on: a cluster, two replicas, a gateway with moods, people and channels.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::dice::Dice;
use super::history::{Change, Moment, Recorder};
use super::moods::Moods;
use crate::support::gateway::SECRET;
use crate::support::{Client, Cluster, Gateway, Reply, Service};

pub const REPLICAS: usize = 2;
/// People who are in some channel for good, and people who come and go.
const STABLE: usize = 260;
const CHURNERS: usize = 60;
/// Messages into the crowd are few: each is for everybody in it.
const CROWD_WEIGHT: usize = 200;
const DATABASE: &str = "torture";
/// Longest wait of ours for an answer; more than the service takes to say 503.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many of the last acknowledged messages receipts are about.
const RECENT: usize = 400;

/// Small limits, so that a short run meets every one of them.
const SETTINGS: &[(&str, &str)] = &[
    ("log", "warn,im_push_gateway=info"),
    ("database_pool_size", "12"),
    ("database_wait_ms", "2000"),
    ("request_timeout_ms", "4000"),
    ("callback_batch_pairs", "60"),
    ("callback_batch_rows", "40"),
    ("callback_timeout_ms", "1000"),
    ("callback_lease_margin_ms", "1500"),
    ("callback_retry_base_ms", "20"),
    ("callback_retry_max_ms", "200"),
    ("callback_breaker_failures", "4"),
    ("callback_breaker_probe_ms", "100"),
    ("poll_ms", "100"),
    // A few users send as fast as they can.
    ("user_requests_per_second", "0"),
];

/// A channel as the load knows it.
pub struct Channel {
    pub id: i64,
    /// Members who never leave; the first owns it if it is a group.
    pub stable: Vec<String>,
    /// People whom one task makes join and leave.
    pub churners: Vec<String>,
    /// The highest seq that was acknowledged.
    pub last_seq: AtomicI64,
    /// Every how many picks it is skipped for: large groups take fewer sends.
    pub weight: usize,
}

/// A message that was acknowledged a moment ago.
#[derive(Clone)]
pub struct Recent {
    pub ms_id: i64,
    pub receivers: Arc<Channel>,
}

pub struct World {
    pub cluster: Cluster,
    pub gateway: Gateway,
    pub moods: Arc<Moods>,
    pub recorder: Recorder,
    replicas: Vec<Client>,
    pub channels: RwLock<Vec<Arc<Channel>>>,
    pub recent: Mutex<VecDeque<Recent>>,
    /// Sends under way, by replica.
    pub in_flight: [AtomicUsize; REPLICAS],
    pub stop: AtomicBool,
    texts: AtomicUsize,
}

impl World {
    /// Everything up, people known, channels made.
    pub async fn build(dice: &mut Dice) -> (Arc<Self>, Vec<Service>) {
        // A killed server comes back sooner when it flushes its folder at once, not file by file.
        let sync = [("recovery_init_sync_method", "syncfs")];
        let cluster = tokio::task::block_in_place(|| Cluster::start_with(&sync));
        cluster.create_database(DATABASE, None).await;
        let gateway = Gateway::start();
        let moods = Arc::new(Moods::new(dice.fork()));
        let judge = moods.clone();
        gateway.answer(move |batch| judge.answer(batch));
        let mut services = Vec::new();
        for replica in 0..REPLICAS {
            // The path tells the gateway, and so us, which replica calls.
            let callback = format!("{}/{replica}", gateway.url());
            let database = cluster.url(DATABASE);
            let mut settings = SETTINGS.to_vec();
            if super::setting::<usize>("TORTURE_CROWD").is_some() {
                settings.push(("callback_batch_pairs", "2000"));
            }
            settings.extend([
                ("database_url", database.as_str()),
                ("callback_url", &callback),
                ("callback_secrets", SECRET),
            ]);
            services.push(Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await);
        }
        let world = Arc::new(Self {
            cluster,
            gateway,
            moods,
            recorder: Recorder::new(),
            replicas: services.iter().map(|service| Client::anonymous(&service.api())).collect(),
            channels: RwLock::default(),
            recent: Mutex::default(),
            in_flight: Default::default(),
            stop: AtomicBool::new(false),
            texts: AtomicUsize::new(0),
        });
        world.people().await;
        world.conversations(dice).await;
        world.crowd(dice).await;
        (world, services)
    }

    pub async fn sql(&self) -> tokio_postgres::Client {
        self.cluster.connect(DATABASE).await
    }

    /// Moves the clock that messages are stamped by, for connections opened from now on.
    pub async fn move_clock(&self, offset_ms: i64) {
        let alter = format!("ALTER DATABASE {DATABASE} SET impg.clock_offset = '{offset_ms} ms'");
        self.sql().await.batch_execute(&alter).await.expect("PostgreSQL runs");
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A text that nobody has said.
    pub fn text(&self) -> String {
        format!("m{}", self.texts.fetch_add(1, Ordering::Relaxed))
    }

    pub fn client(&self, replica: usize, user: &str) -> Client {
        self.replicas[replica].person(user)
    }

    /// A call of which nobody knows whether it will be answered.
    pub async fn call(
        &self,
        client: Client,
        method: Method,
        path: &str,
        json: Option<Value>,
    ) -> Option<Reply> {
        let call = client.try_call(method, path, json);
        tokio::time::timeout(PATIENCE, call).await.ok()?.ok()
    }

    /// A change of membership, tried on any replica until its fate is clear. Also when the load
    /// is to stop: the history knows no half changes.
    pub async fn change(&self, dice: &mut Dice, channel: &Channel, user: &str, joins: bool) {
        let from = self.recorder.now();
        loop {
            let replica = dice.below(REPLICAS);
            let owner = &channel.stable[0];
            let reply = if joins {
                let path = format!("/channels/{}/members", channel.id);
                let member: &String = dice.pick(&channel.stable);
                let client = self.client(replica, member);
                self.call(client, Method::POST, &path, Some(json!({"user_ids": [user]}))).await
            } else if dice.percent(50) {
                let path = format!("/channels/{}/leave", channel.id);
                self.call(self.client(replica, user), Method::POST, &path, Some(json!({}))).await
            } else {
                let path = format!("/channels/{}/members/{user}", channel.id);
                self.call(self.client(replica, owner), Method::DELETE, &path, None).await
            };
            match reply.map(|reply| (reply.status, reply)) {
                Some((200 | 204 | 404, _)) => break,
                Some((status, reply)) if status < 500 => panic!("a change is refused: {reply:?}"),
                _ => tokio::time::sleep(dice.pause(10, 60)).await,
            }
        }
        self.note_change(channel.id, user, joins, (from, self.recorder.now()));
    }

    pub fn note_change(&self, channel_id: i64, user: &str, joins: bool, (from, to): (Moment, Moment)) {
        let change = Change { channel_id, user: user.to_owned(), joins, from, to };
        self.recorder.write(|evidence| evidence.changes.push(change));
    }

    pub fn remember(&self, recent: Recent) {
        let mut all = self.recent.lock().expect("no panic while held");
        if all.len() == RECENT {
            all.pop_front();
        }
        all.push_back(recent);
    }

    /// A new channel, made on any replica until it is clear which it is.
    pub async fn open(&self, dice: &mut Dice, members: &[String], kind: &str) -> i64 {
        let (path, body) = match kind {
            "direct" => ("/channels", json!({"type": "direct", "members": [members[1]]})),
            _ => ("/groups", json!({"members": members[1..]})),
        };
        loop {
            let client = self.client(dice.below(REPLICAS), &members[0]);
            let reply = self.call(client, Method::POST, path, Some(body.clone())).await;
            if let Some(reply) = reply.filter(|reply| matches!(reply.status, 200 | 201)) {
                let id = reply.body["channel_id"].as_str().expect("a channel id");
                return id.parse().expect("a decimal id");
            }
            tokio::time::sleep(dice.pause(20, 100)).await;
        }
    }

    pub fn enter(&self, channel: Channel) -> Arc<Channel> {
        let channel = Arc::new(channel);
        self.channels.write().expect("no panic while held").push(channel.clone());
        channel
    }

    /// `TORTURE_CROWD` people in a group of their own, in which one guest comes and goes all the while.
    async fn crowd(&self, dice: &mut Dice) {
        let crowd: usize = super::setting("TORTURE_CROWD").unwrap_or_default();
        if crowd == 0 {
            return;
        }
        let people = "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
                      SELECT 'm' || to_char(i, 'FM00000'), 'm' || i, now(), false FROM generate_series(0, $1::bigint - 1) i";
        self.sql().await.execute(people, &[&(crowd as i64)]).await.expect("people");
        let members = (0..crowd).map(|n| format!("m{n:05}")).collect();
        self.channel(dice, (members, vec![churner(CHURNERS - 1)]), "group", CROWD_WEIGHT).await;
    }

    async fn people(&self) {
        let names = (0..STABLE).map(stable).chain((0..CHURNERS).map(churner));
        let users: Vec<Value> = names.map(|id| json!({"user_id": id, "name": id})).collect();
        let hr = self.client(0, "hr").with_roles(&["directory"]);
        let reply = hr.post("/directory/changes", json!({"users": users})).await;
        assert_eq!(reply.expect(200)["users"]["applied"], STABLE + CHURNERS);
    }

    /// Direct channels, small groups, one that churn moves across the limit of inline ledgers,
    /// and one far above it.
    async fn conversations(&self, dice: &mut Dice) {
        let mut churners = (0..CHURNERS).map(churner);
        for pair in 0..10 {
            let members = vec![stable(pair), stable(pair + 7)];
            self.channel(dice, (members, Vec::new()), "direct", 1).await;
        }
        for group in 0..6 {
            let members = (0..4 + group).map(|i| stable(group * 5 + i)).collect();
            let guests = churners.by_ref().take(3).collect();
            self.channel(dice, (members, guests), "group", 1).await;
        }
        let members = (0..18).map(|i| stable(40 + i)).collect();
        let guests = churners.by_ref().take(6).collect();
        self.channel(dice, (members, guests), "group", 2).await;
        let members = (0..STABLE).map(stable).collect();
        self.channel(dice, (members, churners.take(20).collect()), "group", 4).await;
    }

    async fn channel(
        &self,
        dice: &mut Dice,
        (stable, churners): (Vec<String>, Vec<String>),
        kind: &str,
        weight: usize,
    ) {
        let id = self.open(dice, &stable, kind).await;
        for user in &stable {
            self.note_change(id, user, true, (0, self.recorder.now()));
        }
        self.enter(Channel { id, stable, churners, last_seq: AtomicI64::new(0), weight });
    }
}

pub fn stable(n: usize) -> String {
    format!("s{n:03}")
}

fn churner(n: usize) -> String {
    format!("c{n:03}")
}
