//! What a fixed story costs, by what the server counts and not by the clock: the same on a day without
//! statistics, on one that has grown since it was analysed, after an analysis, and on the next day's empty
//! tables.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use im_push_gateway::base::store::Store;

use crate::app::{LONG, TestApp, text};
use crate::files::put;
use crate::support::{Answer, Client};

use Per::{Call, Message, Pair, Read, Receipt, Receiver};

/// The story: direct messages, in calls of so many; messages into a group; one to a large group.
const DIRECT: usize = 1_000;
const BULK: usize = 64;
const GROUP: usize = 50;
const GROUP_MEMBERS: usize = 200;
const LARGE_MEMBERS: usize = 20_000;
/// Whoever is away gets so many receipts later; everybody reads the group.
const RECEIPTS: usize = 500;
const READERS: usize = GROUP_MEMBERS - 1;
/// Members who listen to streams.
const LISTENERS: usize = 20;
/// The urgent messages of each member that are not read, and those that were above the limit.
const URGENT: i64 = 100;
const OVER: i64 = 1_000;
/// Messages of each other kind, the users whom a mention names, and how often a file was sent and a message marked before.
const EACH: usize = 10;
const MENTIONED: usize = 10;
const POPULAR: i64 = 20_000;
/// What had come before on a day that was analysed when it was small.
const GROWN: usize = 200_000;

/// What a budget is for one of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Per {
    Call,
    Message,
    Receiver,
    Receipt,
    /// A message and its reader.
    Read,
    /// An urgent push and a nudge, and each of their receivers.
    Pair,
}

impl Per {
    fn of(self, calls: f64) -> f64 {
        let (messages, receivers) =
            (DIRECT + GROUP + 1, DIRECT + GROUP * (GROUP_MEMBERS - 1) + LARGE_MEMBERS - 1);
        match self {
            Call => calls,
            Message => messages as f64,
            Receiver => receivers as f64,
            Receipt => RECEIPTS as f64,
            Read => (READERS * GROUP) as f64,
            Pair => (READERS * 2) as f64,
        }
    }
}

/// Statements of the story, and the most buffers they touch and records of WAL they write (bytes depend on when
/// the server last made a checkpoint). Lower them when they are beaten; raise none without a reason.
const BUDGETS: &[(&str, Per, f64, f64)] = &[
    ("chat/message/lock_channels", Message, 3.5, 2.0),
    // Every 30 s: it compares the newest channels with the relations of their pairs.
    ("people/relation/unmarked", Call, 2_000.0, 20.0),
    ("chat/message/admit", Message, 25.0, 6.0),
    ("chat/message/store", Message, 60.0, 20.0),
    // How many of the commits wait for their channels depends on how the workers are scheduled.
    ("delivery/push/claim_new", Message, 20.0, 5.0),
    ("delivery/push/claim_commits", Message, 25.0, 5.0),
    ("delivery/push/messages", Message, 30.0, 2.0),
    ("delivery/push/people", Receiver, 3.0, 0.5),
    // A row a read at most: how many reads one pass writes together depends on how the workers are scheduled, and
    // whether old versions of a row may be pruned, on whose snapshots are held meanwhile.
    ("delivery/ledger/lock", Read, 25.0, 3.0),
    ("delivery/ledger/write", Read, 35.0, 4.0),
    ("delivery/push/finish", Message, 1.0, 1.0),
    ("records/receipt/locate", Receipt, 20.0, 1.0),
    ("records/receipt/lock_cursors", Call, 8.0, 2.0),
    ("records/receipt/advance_cursors", Call, 40.0, 8.0),
    ("records/receipt/take_reads", Read, 20.0, 5.0),
    ("archive/index/messages", Message, 10.0, 1.0),
    // A reader prunes what the sends have left behind, and that is logged.
    ("records/conversation/list", Call, 4000.0, 60.0),
    ("records/history/before", Call, 400.0, 10.0),
    ("records/search/ledger", Call, 2000.0, 100.0),
    ("records/history/unread_channels", Call, 60.0, 60.0),
    ("records/history/unread", Call, 400.0, 10.0),
    ("records/receipt/receive_up_to", Call, 80.0, 15.0),
    // However many urgent messages of a receiver were above the limit.
    ("delivery/escalation/close", Pair, 300.0, 4.0),
    ("delivery/escalation/reserve", Pair, 180.0, 8.0),
    ("delivery/escalation/unread", Pair, 20.0, 3.0),
    ("delivery/push/still_unread", Pair, 15.0, 1.0),
    ("events/stream/unread_of", Call, 300.0, 60.0),
    ("events/stream/unread_in", Call, 300.0, 60.0),
    ("archive/mover/tell", Call, 100.0, 10.0),
    // A call is for the 99 receivers of a notification of the story.
    ("chat/channel/create_directs", Call, 3000.0, 1500.0),
    ("chat/channel/lock_directs", Call, 500.0, 150.0),
    ("notification/notice/create", Call, 600.0, 30.0),
    ("notification/step/page", Call, 500.0, 30.0),
    ("notification/progress/counts", Call, 1500.0, 30.0),
    ("notification/progress/receivers", Call, 1800.0, 30.0),
    ("chat/channel/join", Call, 100.0, 30.0),
    // Reads what the catalogs say of each partition.
    ("base/store/make_partitions", Call, 600.0, 30.0),
];
/// Every other statement's, of a call.
const OTHERS: f64 = 300.0;
/// What a statement reads of the catalogs when a connection runs it for the first time, and for how many of its calls
/// that counts: which connection of the pool runs a call depends on how busy the machine is.
const FIRST: f64 = 500.0;
const FIRST_CALLS: f64 = 2.0;
/// Statements that are about days, and read them in their order.
const OF_DAYS: &[&str] = &[
    "archive/mover/documents",
    "archive/mover/size",
    "archive/index/backlog",
    "archive/index/hot",
    "archive/index/walk",
    "records/search/oldest",
    "archive/mover/movable",
    "archive/mover/partitions",
    "archive/mover/state",
    "base/store/crowding",
    "base/store/ready",
    "base/store/unfrozen",
    // A sample of a bounded number of pages.
    "records/traffic/hours",
];
/// Statements whose number of calls depends on how the workers are scheduled: their budgets alone hold them.
const SCHEDULED: &[&str] = &[
    "delivery/push/claim_new",
    "delivery/push/claim_commits",
    "delivery/ledger/lock",
    "delivery/ledger/write",
];
/// How much more the rest of the story may touch in one state of the statistics than in another.
const APART: f64 = 1.5;

/// The server counts what statements cost, and analyses nothing by itself.
pub const COUNTED: &str = "CREATE EXTENSION pg_stat_statements; \
    DO $$ DECLARE name regclass; BEGIN \
        EXECUTE format('ALTER DATABASE %I SET pg_stat_statements.track = top', current_database()); \
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP \
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', name); \
        END LOOP; \
    END $$";

/// What one statement has done, all its calls together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cost {
    calls: f64,
    rows: f64,
    pub buffers: f64,
    wal_records: f64,
    wal_bytes: f64,
}

pub type Costs = BTreeMap<String, Cost>;

/// The statements of `sql/` by their first line, under which the server counts them.
pub fn statements() -> BTreeMap<String, (String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut named = BTreeMap::new();
    let mut folders = vec![folder.clone()];
    while let Some(at) = folders.pop() {
        for path in std::fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(&folder).unwrap().with_extension("").display().to_string();
            if !name.starts_with("schema/") {
                let line = text.lines().next().unwrap().to_owned();
                if let Some((other, as_it)) = named.insert(line, (name.clone(), text.clone())) {
                    assert_eq!(text, as_it, "{name} begins as {other} does");
                }
            }
        }
    }
    named
}

/// What the service's statements have cost since this was last asked.
pub async fn costs(app: &TestApp) -> Costs {
    let counted = "SELECT split_part(query, E'\\n', 1) AS line, sum(calls)::float8, sum(rows)::float8, \
                   sum(shared_blks_hit + shared_blks_read)::float8, sum(wal_records)::float8, sum(wal_bytes)::float8 \
                   FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid AND d.datname = current_database() \
                   GROUP BY line";
    let sql = app.sql().await;
    let rows = sql.query(counted, &[]).await.expect("the server counts");
    let lost = sql.query_one("SELECT dealloc FROM pg_stat_statements_info", &[]).await.expect("a count");
    assert_eq!(lost.get::<_, i64>(0), 0, "the server has forgotten counts: too many statements were counted");
    let reset =
        "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()";
    sql.execute(reset, &[]).await.expect("it counts anew");
    let named = statements();
    let cost = |row: &tokio_postgres::Row| {
        let (name, _) = named.get(row.get::<_, &str>("line"))?;
        let [calls, rows, buffers, wal_records, wal_bytes] = [1, 2, 3, 4, 5].map(|i| row.get(i));
        Some((name.clone(), Cost { calls, rows, buffers, wal_records, wal_bytes }))
    };
    rows.iter().filter_map(cost).collect()
}

/// The plan of a statement as the service would have it made now.
async fn plan(app: &TestApp, name: &str) -> String {
    let (_, statement) = statements().into_values().find(|(n, _)| n == name).expect("a statement");
    plan_of(&app.store, &statement).await
}

/// The same of any text.
pub async fn plan_of(store: &Store, statement: &str) -> String {
    let params = (1..=60).filter(|i| statement.contains(&format!("${i}"))).max().unwrap_or(0);
    let nothing = vec!["NULL"; params].join(", ");
    let execute = if params == 0 { "it".to_owned() } else { format!("it({nothing})") };
    let client = store.client().await.expect("a connection");
    // The parameters are null: PostgreSQL would leave out every day, and show none of its scans.
    client.batch_execute("SET enable_partition_pruning = off").await.expect("a setting");
    client.batch_execute(&format!("PREPARE it AS {statement}")).await.expect("it prepares");
    let rows = client.query(&format!("EXPLAIN EXECUTE {execute}"), &[]).await.expect("a plan");
    client.batch_execute("DEALLOCATE it; RESET enable_partition_pruning").await.expect("it was prepared");
    rows.iter().fold(String::new(), |plan, row| plan + row.get::<_, &str>(0) + "\n")
}

/// The scans of messages and of the ledger in a plan that do not begin at a key: they read whole days.
fn scans_of_days(plan: &str) -> Vec<&str> {
    let lines: Vec<&str> = plan.lines().collect();
    let reads_days = |i: &usize| {
        let is_scan = lines[*i].contains(" Scan ") && !lines[*i].contains("Bitmap Heap");
        let condition = lines.get(i + 1).filter(|line| line.contains("Index Cond")).unwrap_or(&"");
        let by_key = ["(ms_id = ", "(channel_id = "].iter().any(|key| condition.contains(key));
        let of_days =
            [" on t_im_message_p", " on t_im_ledger_p"].iter().any(|table| lines[*i].contains(table));
        is_scan && of_days && !by_key
    };
    (0..lines.len()).filter(reads_days).map(|i| lines[i]).collect()
}

/// A company in which people of `away` are offline and everybody else is there.
struct Company {
    app: TestApp,
    direct: Vec<String>,
    away: Vec<String>,
    group: String,
    members: Vec<String>,
    large: String,
    /// A file that is in many messages.
    popular: String,
}

impl Company {
    async fn open() -> Self {
        let mut app = TestApp::with_archive_at_noon("").await;
        app.gateway.ignore_time();
        app.sql().await.batch_execute(COUNTED).await.expect("PostgreSQL's contrib is there");
        // New connections are counted.
        app.halt().await;
        app.run().await;
        app.people(&["boss"]).await;
        let crowd = app.crowd((LARGE_MEMBERS + BULK) as i64 - 1).await;
        let (large, away) = crowd.split_at(LARGE_MEMBERS - 1);
        let members = large[..GROUP_MEMBERS - 1].to_vec();
        let group = async |people: &[String]| {
            let made = app.person("boss").post("/groups", json!({"name": "all", "members": people})).await;
            text(&made.expect(201)["channel_id"])
        };
        let (large, group) = (group(large).await, group(&members).await);
        let mut direct = Vec::new();
        for other in away {
            direct.push(app.direct("boss", other).await);
        }
        let urgent = "INSERT INTO t_im_urgent (ms_id, user_id, channel_id, seq, is_over) \
                      SELECT (1::bigint << 62) + n, user_id, channel_id, 1000000 + n, n > $2::bigint \
                      FROM t_im_channel_user, generate_series(1, $2::bigint + $3::bigint) AS n WHERE channel_id = $1 AND user_id = ANY ($4)";
        let in_large: i64 = large.parse().expect("an id");
        app.sql()
            .await
            .execute(urgent, &[&in_large, &URGENT, &OVER, &members])
            .await
            .expect("urgent messages");
        let popular = popular(&app).await;
        let company = Self { away: away.to_vec(), direct, group, members, large, popular, app };
        company.answer(false);
        company
    }

    /// Whether nobody at all is there.
    fn answer(&self, nobody: bool) {
        let away = self.away.clone();
        self.app.gateway.answer(move |batch| {
            let missing = |receiver: &&str| nobody || away.iter().any(|one| one == receiver);
            Answer::all_except(&batch.receivers().into_iter().filter(missing).collect::<Vec<_>>(), &[])
        });
    }

    /// A day that was analysed at its first message, of which the service's plans are; then many more that
    /// nobody has received.
    async fn grow(&self) {
        let app = &self.app;
        for _ in 0..2 {
            app.say("boss", &self.direct[0], "good morning").await;
            app.settled().await;
            self.analyse().await;
            self.looks_up_by_key("on a day of a message or two").await;
        }
        app.say("boss", &self.direct[0], "good morning").await;
        self.answer(true);
        for _ in 0..GROWN / LARGE_MEMBERS {
            app.say("boss", &self.large, "nobody is at their desk").await;
        }
        app.gateway
            .wait_for(|record| record.pairs >= GROWN / LARGE_MEMBERS * (LARGE_MEMBERS - 1), LONG * 3)
            .await;
        app.settled().await;
        self.answer(false);
    }

    async fn analyse(&self) {
        self.app.sql().await.batch_execute("ANALYZE").await.expect("statistics");
    }

    /// Sends many at once, and returns their ids and the last seq.
    async fn send(&self, channels: &[&String]) -> (Vec<String>, i64) {
        let sends: Vec<Value> = channels
            .iter()
            .map(|channel| json!({"channel_id": channel, "type": "text", "content": {"text": "hello"}}))
            .collect();
        let sent = self.app.person("boss").post("/messages", json!(sends)).await.expect(200);
        let sent = sent["results"].as_array().expect("a result each").clone();
        let last = sent.last().and_then(|one| one["seq"].as_i64()).expect("a seq");
        (sent.iter().map(|one| text(&one["ms_id"])).collect(), last)
    }

    async fn story(&self) -> Costs {
        let app = &self.app;
        app.settled().await;
        costs(app).await;
        let mut unreceived = Vec::new();
        for begin in (0..DIRECT).step_by(BULK) {
            let channels: Vec<&String> = self.direct.iter().take(DIRECT - begin).collect();
            let (sent, _) = self.send(&channels).await;
            unreceived.extend(sent.into_iter().zip(&self.away));
        }
        let (_, last) = self.send(&vec![&self.group; GROUP]).await;
        app.say("boss", &self.large, "大家好").await;
        app.settled().await;

        let receipt = |(ms_id, receiver): &(String, &String)| json!({"ms_id": ms_id, "receiver": receiver, "status": "received"});
        let receipts: Vec<Value> = unreceived.iter().take(RECEIPTS).map(receipt).collect();
        app.client("gw", &["gateway"]).post("/receipts", json!(receipts)).await.expect(200);
        for reader in &self.members {
            let path = format!("/channels/{}/read", self.group);
            app.person(reader).post(&path, json!({"seq": last})).await.expect(200);
        }
        let (boss, reader) = (app.person("boss"), app.person(&self.members[0]));
        boss.get("/conversations?limit=50").await.expect(200);
        reader.get(&format!("/channels/{}/messages?limit=50", self.group)).await.expect(200);
        reader.get("/search/messages?status=read&direction=to_me").await.expect(200);
        app.settled().await;
        app.indexed().await;
        costs(app).await
    }

    /// An urgent message, a nudge for it, members who listen, and clients that load what they have missed. Afterwards no
    /// stream is left, so that events cost the next story nothing.
    async fn reminded(&mut self) -> Costs {
        let app = &self.app;
        app.settled().await;
        costs(app).await;
        let boss = app.person("boss");
        let urgent = json!({"type": "text", "content": {"text": "please confirm"}, "priority": "urgent"});
        let sent = boss.post(&format!("/channels/{}/messages", self.group), urgent).await.expect(201);
        app.settled().await;
        let nudged = boss.post(&format!("/messages/{}/nudge", text(&sent["ms_id"])), json!(null)).await;
        assert_eq!(nudged.expect(200)["urged"], READERS);
        app.settled().await;

        let mut streams = Vec::new();
        for reader in &self.members[..LISTENERS] {
            let list = app.person(reader).get("/conversations?limit=1").await.expect(200);
            let total = list["unread_total"].as_i64().expect("a total");
            let mut stream = app.person(reader).listen(None).await;
            stream.expect("hello").await;
            stream.until_total(total).await;
            streams.push((total, stream));
        }
        let last = app.say("boss", &self.group, "one more").await["seq"].clone();
        for (total, stream) in &mut streams {
            stream.until_total(*total + 1).await;
        }
        drop(streams);
        for reader in &self.members[..LISTENERS] {
            let path = format!("/channels/{}/received", self.group);
            app.person(reader).post(&path, json!({"seq": last})).await.expect(200);
            app.person(reader).get("/sync").await.expect(200);
        }
        app.settled().await;
        let costs = costs(app).await;
        self.app.halt().await;
        let silent = "UPDATE t_im_event_head SET streams_until = '-infinity'";
        self.app.sql().await.execute(silent, &[]).await.expect("no stream is expected back");
        self.app.run().await;
        costs
    }

    /// Messages of each other kind, and what a member does with them. Their group is an own one, so that the next story
    /// costs the same.
    async fn of_each_kind(&self) -> Costs {
        let app = &self.app;
        let others: Vec<&str> = self.members.iter().rev().take(MENTIONED).map(String::as_str).collect();
        let (boss, reader) = (app.person("boss"), app.person(others[0]));
        let circle = app.group(&[&["boss"], &others[..]].concat()).await;
        app.settled().await;
        costs(app).await;
        let robot =
            boss.post(&format!("/channels/{circle}/robots"), json!({"name": "build"})).await.expect(201);
        let address = text(&robot["urls"]["wecom"]);
        let path = format!("/channels/{circle}/messages");
        let own = app.direct("boss", others[0]).await;
        let mut last = String::new();
        for n in 0..EACH {
            let first = json!({"type": "text", "content": {"text": "see you there"}, "mentions": others, "topic": "trip",
                               "ref": format!("trip-{n}")});
            last = text(&boss.post(&path, first).await.expect(201)["ms_id"]);
            let reply = json!({"type": "text", "content": {"text": "yes"}, "reply_to": last});
            reader.post(&path, reply).await.expect(201);
            let file = json!({"type": "file", "content": {"file_id": self.popular}});
            boss.post(&path, file.clone()).await.expect(201);
            reader.post(&path, file).await.expect(201);
            let (got, _) = reader.raw("GET", &format!("/files/{}/content", self.popular), &[], &[]).await;
            assert_eq!(got.status, 200);
            let forward = json!({"channel_ids": [own]});
            reader.post(&format!("/messages/{last}/forward"), forward).await.expect(200);
            let card = json!({"type": "card", "content": {"title": "leave", "buttons": [{"id": "yes", "text": "yes"}]}});
            let card = text(&boss.post(&path, card).await.expect(201)["ms_id"]);
            let act = json!({"button_id": "yes"});
            reader.post(&format!("/messages/{card}/actions"), act).await.expect(201);
            let next = json!({"title": "done", "version": 1});
            boss.patch(&format!("/messages/{card}/card"), next).await.expect(200);
            let said = json!({"msgtype": "text", "text": {"content": "built"}});
            assert_eq!(Client::anonymous(&app.base).post(&address, said).await.expect(200)["errcode"], 0);
            reader.put(&format!("/users/me/favourites/{last}"), json!({"note": "trip"})).await.expect(200);
        }
        self.notify(&last).await;
        for path in [
            format!("/messages/{last}/replies"),
            format!("/channels/{circle}/topics"),
            format!("{path}?topic=trip"),
            "/messages?ref=trip-0".to_owned(),
            "/users/me/favourites".to_owned(),
            "/users/me/favourites/1".to_owned(),
            "/search/messages?mentions=me".to_owned(),
        ] {
            reader.get(&path).await.expect(200);
        }
        app.settled().await;
        app.indexed().await;
        costs(app).await
    }

    /// A notification to members of the group who listen to no stream, and its progress.
    async fn notify(&self, client_id: &str) {
        let oa = self.app.person("oa");
        let body = json!({"client_id": client_id, "to": {"user_ids": self.members[GROUP_MEMBERS / 2..]}, "type": "text", "content": {"text": "closed on friday"}});
        let made = oa.post("/notifications", body).await.expect(202);
        self.app.until("SELECT count(*) FROM t_im_notification WHERE is_open", 0).await;
        self.app.settled().await;
        let path = format!("/notifications/{}", text(&made["notification_id"]));
        oa.get(&path).await.expect(200);
        oa.get(&format!("{path}/receivers")).await.expect(200);
    }

    /// Whatever the statistics are now, every statement looks messages and the ledger up by key.
    async fn looks_up_by_key(&self, state: &str) {
        let named = statements();
        let all =
            named.values().filter(|(_, text)| text.contains("t_im_message") || text.contains("t_im_ledger"));
        let mut wrong = Vec::new();
        for (name, _) in all.filter(|(name, _)| !OF_DAYS.contains(&name.as_str())) {
            let plan = plan(&self.app, name).await;
            let scans = scans_of_days(&plan);
            if !scans.is_empty() {
                wrong.push(format!("{name} reads whole days: {scans:#?}\n{plan}"));
            }
        }
        assert!(wrong.is_empty(), "{state}: {}", wrong.join("\n"));
    }

    /// Holds a story's costs against the budgets; what is over them is told with its plan.
    async fn judge(&self, state: &str, costs: &Costs) -> f64 {
        let (mut table, mut over) = (format!("{state}\n"), Vec::new());
        for (name, cost) in costs {
            let budget = BUDGETS.iter().find(|(budgeted, ..)| budgeted == name);
            let (_, per, buffers_max, wal_max) = *budget.unwrap_or(&("", Call, OTHERS, f64::MAX));
            let of = per.of(cost.calls);
            let (buffers, records) = (cost.buffers / of, cost.wal_records / of);
            let first = FIRST * cost.calls.min(FIRST_CALLS) / of;
            let Cost { calls, rows, wal_bytes, .. } = cost;
            writeln!(
                table,
                "{name:32} {calls:6} calls {rows:8} rows  a {per:?}: {buffers:8.2} buffers {records:7.2} records \
                 {:8.0} bytes of WAL",
                wal_bytes / of
            )
            .expect("a string grows");
            if buffers > buffers_max + first || records > wal_max {
                over.push(format!("{state}: {name} is over its budget\n{}", plan(&self.app, name).await));
            }
        }
        println!("{table}");
        self.looks_up_by_key(state).await;
        assert!(over.is_empty(), "{}{table}", over.join("\n"));
        let is_steady =
            |name: &str| !SCHEDULED.contains(&name) && BUDGETS.iter().any(|(budgeted, ..)| *budgeted == name);
        let counted = costs.iter().filter(|(name, _)| is_steady(name));
        counted.map(|(_, cost)| cost.buffers).sum()
    }
}

/// A file and a message that are popular: the file is in the messages of many channels, and many have marked the message.
async fn popular(app: &TestApp) -> String {
    let oa = json!({"users": [{"user_id": "oa", "name": "oa", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", oa).await.expect(200);
    let file = text(&put(&app.person("boss"), "plan", b"the plan").await["file_id"]);
    let (file_id, sql): (i64, _) = (file.parse().expect("an id"), app.sql().await);
    let uses = "INSERT INTO t_im_file_use (file_id, ms_id, channel_id, seq) \
                SELECT $1, (1::bigint << 62) + n, 1000000000 + n, 1 FROM generate_series(1, $2::bigint) AS n";
    sql.execute(uses, &[&file_id, &POPULAR]).await.expect("uses");
    let marked = "INSERT INTO t_im_favourite (user_id, ms_id, channel_id, seq, sender, server_time, ms_type, content, extra, added_at) \
                  SELECT 'u' || to_char(n, 'FM00000'), 1, 1, 1, 'boss', now(), 'text', '{\"text\": \"x\"}', '{}', now() \
                  FROM generate_series(1, $1::bigint) AS n";
    sql.execute(marked, &[&POPULAR]).await.expect("favourites");
    file
}

/// The buffers of the first two stories. How many commits share the sends of the third depends on how the workers are
/// scheduled: its budgets alone hold it.
async fn told(company: &mut Company, state: &str) -> [f64; 2] {
    let story = company.judge(state, &company.story().await).await;
    let reminded = company.reminded().await;
    let reminded = company.judge(&format!("reminders {state}"), &reminded).await;
    let of_each_kind = company.of_each_kind().await;
    company.judge(&format!("each kind {state}"), &of_each_kind).await;
    [story, reminded]
}

#[tokio::test]
async fn the_story_costs_the_same_whatever_the_statistics_say() {
    let mut company = Company::open().await;
    let without = told(&mut company, "without statistics").await;
    drop(company);

    let mut company = Company::open().await;
    company.grow().await;
    let grown = told(&mut company, "on a day that has grown").await;
    company.analyse().await;
    let fresh = told(&mut company, "with fresh statistics").await;
    company.app.gateway.ignore_time();
    company.app.clock("1 day").await;
    let next = told(&mut company, "on the next day").await;

    let all = [without, grown, fresh, next];
    for story in [0, 1] {
        let of_story = all.iter().map(|state| state[story]);
        let (least, most) = (of_story.clone().fold(f64::MAX, f64::min), of_story.fold(0.0, f64::max));
        assert!(most <= least * APART, "{all:?} buffers");
    }
}
