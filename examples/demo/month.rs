//! A month goes by: the day of the story moves into the archive, and nobody notices.

use std::collections::BTreeSet;
use std::process::Stdio;

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

/// The story's day is then just over the age at which days move.
const LATER: &str = "32 days";
/// A page of this size begins hot and ends cold.
const PAGE: usize = 4;
/// Who still has not got what was said a month ago; of whom it is told late; and who reads it late.
const NEVER: usize = ALSO_AWAY[1];
const TOLD: usize = ALSO_AWAY[0];
const READS: usize = ALSO_AWAY[4];
const REASON: &str = "ticket 4711";

/// Whatever waits to be taken in by the archive.
const OUTBOX: &str = "SELECT (SELECT count(*) FROM t_im_receipt_pending) + (SELECT count(*) FROM t_im_read)";

/// What was seen of the month, for the comparison at the end.
#[derive(Default)]
pub struct Month {
    /// What was said before it, and so is cold after it.
    cold: BTreeSet<String>,
    cold_rows: usize,
    pub run: Value,
    /// Tables of the days that moved which are still there.
    pub tables: i64,
    /// Whole histories read while the days moved, and how many of them were as before.
    pub read: usize,
    pub read_alike: usize,
    /// Of a late receipt and a late read, those that count once the archive has taken them in.
    pub late: usize,
    /// Hot and cold messages that were found, and how many of each should be.
    pub hits: [usize; 2],
    pub hits_expected: [usize; 2],
    pub missed: usize,
    pub missed_expected: usize,
    pub audited: bool,
}

impl Month {
    /// Messages and ledger rows that are to be cold.
    pub fn expected(&self) -> (usize, usize) {
        (self.cold.len(), self.cold_rows)
    }

    fn place(&self, message: &Value) -> &'static str {
        if self.cold.contains(&id(message, "ms_id")) { "cold" } else { "hot" }
    }
}

pub async fn goes_by(stage: &mut Stage, announcement: &str, review: &str) -> Month {
    tell::chapter("A month goes by");
    let mut month = Month {
        cold: stage.books.said.iter().map(|said| said.ms_id.clone()).collect(),
        cold_rows: stage.books.pairs(),
        ..Month::default()
    };
    stage.gateway.ignore_time().await;
    stage.set_clock(LATER).await;
    tell::note(&format!("the service runs again, its clock {LATER} on; people go on talking"));
    let (wang, li, newcomer) = (stage.person(WANG), stage.person(LI), stage.person(NEWCOMER));
    stage.say(&wang, review, "评审稿 v4 定稿了，大家再看一眼").await;
    stage.say(&li, review, "好的，今天给你意见").await;
    stage.say(&newcomer, review, "A month already since that “welcome on board”").await;
    let founder = stage.person(stage.people[NEVER].team);
    let team = stage.books.founded_by(&founder.user_id).expect("a team talked");
    stage.say(&founder, &team, "新季度计划已发 the plan for the new quarter").await;
    stage.all_pushed().await;
    moves(stage, &mut month, review).await;
    pages(&li, &month, review).await;
    month.late = comes_late(stage, announcement).await;
    searches(&mut month, [&li, &newcomer]).await;
    not_got(stage, &mut month).await;
    month
}

/// The days move by the real command, while somebody reads the same channel again and again.
async fn moves(stage: &Stage, month: &mut Month, review: &str) {
    tell::chapter("What is over a month old moves into the archive; somebody reads all the while");
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
    tell::note(&format!("of the moved day's two tables in PostgreSQL there are {} left", month.tables));
    tell::note(&format!(
        "meanwhile the whole review channel was read {} times, in pages of {PAGE}: {} times as before",
        month.read, month.read_alike
    ));
}

/// Reads until all has moved, and once more; how often, and how often it was as before.
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
    }
}

/// `im-push-gateway archive run`, with what it prints.
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
    tell::note("a page across the horizon is a page like any other");
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

/// A receipt and a read of what is cold by now. Returns how many of them count.
async fn comes_late(stage: &mut Stage, announcement: &str) -> usize {
    tell::chapter("Two who had been away the whole month get the announcement, and that counts");
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
    until("the archive has taken in what came late", async || {
        database.query_one(OUTBOX, &[]).await.expect("a count").get::<_, i64>(0) == 0
    })
    .await;
    tell::note("… at once, laid over what is cold, and for good: the archive has taken it in");
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
    tell::chapter("One search over both, and one question of support");
    // Words, and how many hot and cold messages have them.
    for (who, words, hot, cold) in [(li, "评审稿", 1, 2), (newcomer, "\"welcome on board\"", 1, 1)] {
        let query: String = byte_serialize(words.as_bytes()).collect();
        let path = format!("/search/messages?q={query}");
        month.hits_expected = [month.hits_expected[0] + hot, month.hits_expected[1] + cold];
        until("the search finds what was just said", async || {
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

/// "What did they not get?", with a reason, and what the audit keeps of the question.
async fn not_got(stage: &Stage, month: &mut Month) {
    let (never, desk) = (stage.person(NEVER), stage.machine("Helpdesk", "support"));
    tell::note(&format!("{} calls: what did I not get?", never.name));
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
