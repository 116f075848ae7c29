//! A month passes: the messages of the demo's day move into the archive, and readers see no difference.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use url::form_urlencoded::byte_serialize;

use crate::proof::history;
use crate::stage::{Caller, DATABASE, Stage, id, until};
use crate::story::{ALSO_AWAY, LI, NEWCOMER, WANG};
use crate::support::{Client, Service};
use crate::tell;

/// The offset of the clock: the demo's day is then old enough to move.
const LATER: &str = "32 days";
/// With this page size a page begins hot and ends cold.
const PAGE: usize = 4;
/// Users who never get the old announcement, who receive it late, and who read it late.
const NEVER: usize = ALSO_AWAY[1];
const TOLD: usize = ALSO_AWAY[0];
const READS: usize = ALSO_AWAY[4];
const REASON: &str = "ticket 4711";

/// Counts receipts and reads that the archive does not have yet.
const OUTBOX: &str = "SELECT (SELECT count(*) FROM t_im_receipt_pending) + (SELECT count(*) FROM t_im_read)";

/// The results of this part, for the comparison at the end.
#[derive(Default)]
pub struct Month {
    /// The messages sent before the month, which are cold after it.
    cold: BTreeSet<String>,
    cold_rows: usize,
    pub run: Value,
    /// The number of tables of moved days that still exist.
    pub tables: i64,
    /// The number of whole histories read during the move, and of those that were unchanged.
    pub read: usize,
    pub read_alike: usize,
    /// Of a late receipt and a late read, the number that the archive counts.
    pub late: usize,
    /// The numbers of hot and cold messages found, and the expected numbers.
    pub hits: [usize; 2],
    pub hits_expected: [usize; 2],
    pub missed: usize,
    pub missed_expected: usize,
    pub audited: bool,
}

impl Month {
    /// The expected numbers of cold messages and statuses.
    pub fn expected(&self) -> (usize, usize) {
        (self.cold.len(), self.cold_rows)
    }

    fn place(&self, message: &Value) -> &'static str {
        if self.cold.contains(&id(message, "ms_id")) { "cold" } else { "hot" }
    }
}

pub async fn goes_by(stage: &mut Stage, announcement: &str, review: &str) -> Month {
    tell::chapter("A month passes");
    let mut month = Month {
        cold: stage.books.said.iter().map(|said| said.ms_id.clone()).collect(),
        cold_rows: stage.books.pairs(),
        ..Month::default()
    };
    stage.gateway.ignore_time().await;
    stage.set_clock(LATER).await;
    tell::note(&format!("the service runs again, with its clock {LATER} ahead; users send more messages"));
    let (wang, li, newcomer) = (stage.person(WANG), stage.person(LI), stage.person(NEWCOMER));
    stage.say(&wang, review, "评审稿 v4 定稿了，大家再看一眼").await;
    stage.say(&li, review, "好的，今天给你意见").await;
    stage.say(&newcomer, review, "A month already since that “welcome on board”").await;
    let founder = stage.person(stage.people[NEVER].team);
    let team = stage.books.founded_by(&founder.user_id).expect("a team channel");
    stage.say(&founder, &team, "新季度计划已发 the plan for the new quarter").await;
    stage.all_pushed().await;
    moves(stage, &mut month, review).await;
    pages(&li, &month, review).await;
    month.late = comes_late(stage, announcement).await;
    searches(&mut month, [&li, &newcomer]).await;
    not_got(stage, &mut month).await;
    month
}

/// Moves days with the real command, while a user reads the same channel again and again.
async fn moves(stage: &Stage, month: &mut Month, review: &str) {
    tell::chapter("Messages over a month old move into the archive while a user reads");
    archive_run(stage, &["--dry-run"]).await;
    let reader = stage.person(LI).client;
    let before = history(&reader, review, PAGE).await;
    let (moving, moved) = watch::channel(true);
    let reading = tokio::spawn(read_on(reader, review.to_owned(), before, moved));
    archive_run(stage, &[]).await;
    moving.send_replace(false);
    (month.read, month.read_alike) = reading.await.expect("the reader reads");
    let ops = stage.machine("Ops", "support");
    let shown = ["items/0/outcome", "items/0/days", "items/0/messages", "items/0/ledger_rows"];
    let runs = ops.get("/archive/runs?limit=1", &shown).await;
    month.run = runs["items"][0].clone();
    let database = stage.cluster.connect(DATABASE).await;
    let tables = "SELECT count(*) FROM t_im_archive_day d, pg_class c \
                  WHERE c.relname ~ ('^t_im_(message|ledger)_p' || to_char(d.day, 'YYYYMMDD') || '$')";
    month.tables = database.query_one(tables, &[]).await.expect("a count").get(0);
    tell::note(&format!("of the moved day's two tables in PostgreSQL, {} are left", month.tables));
    tell::note(&format!(
        "meanwhile the whole review channel was read {} times, in pages of {PAGE}: {} times unchanged",
        month.read, month.read_alike
    ));
}

/// The pause between two reads, so that the reader stays below the limit of a user (`user_requests_per_second`).
const BETWEEN_READS: Duration = Duration::from_millis(50);

/// Reads a history until the move ends, and once more. Returns the number of reads, and of unchanged ones.
async fn read_on(
    reader: Client,
    channel_id: String,
    before: Vec<Value>,
    moving: watch::Receiver<bool>,
) -> (usize, usize) {
    let (mut read, mut alike) = (0, 0);
    loop {
        let last = !*moving.borrow();
        let now = history(&reader, &channel_id, PAGE).await;
        read += 1;
        alike += usize::from(now == before);
        if last {
            return (read, alike);
        }
        tokio::time::sleep(BETWEEN_READS).await;
    }
}

/// Runs `im-push-gateway archive run` and shows its output.
async fn archive_run(stage: &Stage, options: &[&str]) {
    let arguments: Vec<&str> = ["archive", "run"].iter().chain(options).copied().collect();
    tell::note(&format!("$ im-push-gateway {}", arguments.join(" ")));
    let mut child = Command::new(Service::binary_beside_us())
        .args(&arguments)
        .env("IMPG_DATABASE_URL", stage.cluster.url(DATABASE))
        .env("IMPG_ARCHIVE_URL", stage.archive_url())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the service's binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while let Some(line) = lines.next_line().await.expect("it prints text") {
        tell::note(&format!("  {line}"));
    }
    assert!(child.wait().await.expect("our child").success(), "the run fails");
}

async fn pages(reader: &Caller, month: &Month, channel_id: &str) {
    tell::note("a page across the horizon looks like any other page");
    let mut path = format!("/channels/{channel_id}/messages?limit={PAGE}");
    loop {
        let page = reader.client.get(&path).await.expect(200);
        for message in page["items"].as_array().expect("items") {
            tell::placed(month.place(message), message, &tell::preview(message));
        }
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/channels/{channel_id}/messages?limit={PAGE}&cursor={next}"),
            None => return,
        }
    }
}

/// Makes a late receipt and a late read of a cold message. Returns how many of them count.
async fn comes_late(stage: &mut Stage, announcement: &str) -> usize {
    tell::chapter("Two users who were away for a month get the announcement, and both count");
    let ops = stage.machine("Helpdesk", "support");
    stage.ledger_as_booked(&ops, announcement).await;
    let (told, reads) = (stage.person(TOLD), stage.person(READS));
    let gateway = stage.machine("Gateway", "gateway");
    let receipt = json!([{"ms_id": announcement, "receiver": told.user_id, "status": "received"}]);
    gateway.call("POST /receipts", receipt, &["results/0/status"]).await.expect(200);
    stage.books.received(announcement, &told.user_id);
    let said = stage.books.find(announcement);
    let (channel_id, seq) = (said.channel_id.clone(), said.seq);
    let call = format!("POST /channels/{channel_id}/read");
    reads.call(&call, json!({"seq": seq}), &["read_seq", "unread_count"]).await.expect(200);
    stage.books.read(&channel_id, &reads.user_id, seq);
    stage.ledger_as_booked(&ops, announcement).await;
    let database = stage.cluster.connect(DATABASE).await;
    until("the archive has the late receipt and the late read", async || {
        database.query_one(OUTBOX, &[]).await.expect("a count").get::<_, i64>(0) == 0
    })
    .await;
    tell::note("… at once, and for good: the archive has both now");
    let mut count = 0;
    for (status, who) in [("received", told.user_id), ("read", reads.user_id)] {
        let path = format!("/messages/{announcement}/receipts?reason=demo&status={status}&limit=200");
        let page = ops.client.get(&path).await.expect(200);
        let items = page["items"].as_array().expect("items");
        count += items.iter().filter(|row| row["receiver"] == who.as_str()).count();
    }
    count
}

async fn searches(month: &mut Month, [li, newcomer]: [&Caller; 2]) {
    tell::chapter("One search over hot and cold messages, and one query by support");
    // The words, and the numbers of hot and cold messages that contain them.
    for (who, words, hot, cold) in [(li, "评审稿", 1, 2), (newcomer, "\"welcome on board\"", 1, 1)] {
        let query: String = byte_serialize(words.as_bytes()).collect();
        let path = format!("/search/messages?q={query}");
        month.hits_expected = [month.hits_expected[0] + hot, month.hits_expected[1] + cold];
        until("the search finds the newest messages", async || {
            let page = who.client.get(&path).await.expect(200);
            page["items"].as_array().is_some_and(|items| items.len() == hot + cold)
        })
        .await;
        let page = who.client.get(&path).await;
        let read = format!("/search/messages?q={words}");
        tell::call(&who.name, ("GET", &read), &Value::Null, (&page, &["items"]));
        for hit in page.expect(200)["items"].as_array().expect("items") {
            let place = month.place(hit);
            month.hits[usize::from(place == "cold")] += 1;
            tell::placed(place, hit, &tell::highlighted(hit));
        }
    }
}

/// Support asks which messages a user did not get, with a reason. The audit records the query.
async fn not_got(stage: &Stage, month: &mut Month) {
    let (never, desk) = (stage.person(NEVER), stage.machine("Helpdesk", "support"));
    tell::note(&format!("{} asks support: which messages did I not get?", never.name));
    let query =
        format!("receiver={}&status=unreceived&limit=200&reason={REASON}", never.user_id).replace(' ', "%20");
    let page = desk.get(&format!("/support/messages?{query}"), &["items"]).await;
    let items = page["items"].as_array().expect("items");
    for (n, message) in items.iter().enumerate() {
        if n < 2 || n + 1 == items.len() {
            tell::placed(month.place(message), message, &tell::preview(message));
        } else if n == 2 {
            tell::note("  …");
        }
    }
    month.missed = items.len();
    month.missed_expected =
        stage.books.said.iter().filter(|said| said.missed.contains(&never.user_id)).count();
    let ops = stage.machine("Ops", "admin");
    let shown = ["items/0/actor", "items/0/action", "items/0/reason", "items/0/results"];
    let audit = ops.get("/audit?limit=1", &shown).await;
    let entry = &audit["items"][0];
    month.audited = entry["actor"] == desk.user_id.as_str()
        && entry["reason"] == REASON
        && entry["filter"]["receiver"] == never.user_id.as_str()
        && entry["results"] == items.len();
}
