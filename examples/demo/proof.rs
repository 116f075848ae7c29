//! The end: what was promised against what is there, by queries to every part.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::books::Counts;
use crate::stage::{DATABASE, Stage, id, until};
use crate::story::NEWCOMER;
use crate::support::Client;
use crate::tell;

/// One promise.
pub struct Row {
    pub promised: &'static str,
    pub seen: String,
    pub ok: bool,
}

/// Messages of a channel, oldest first, as somebody reads them who was there from the start.
type Histories = BTreeMap<String, Vec<Value>>;

/// Prints a table of all promises; whether every one was kept.
pub async fn compare(stage: &Stage) -> bool {
    tell::chapter("What was promised, and what is there");
    until("nothing waits for the gateway", async || {
        let callback = stage.callback().await;
        callback["waiting_rows"] == 0 && callback["batches_in_flight"] == 0
    })
    .await;
    let mut histories = Histories::new();
    for (channel_id, founder) in stage.books.channels() {
        let reader = stage.reader(founder);
        histories.insert(channel_id.to_owned(), history(&reader, channel_id).await);
    }
    let rows = [
        stored(stage, &histories),
        ordered(&histories),
        once(stage),
        newcomer(stage, &histories).await,
        ledger_rows(stage).await,
        ledger_counts(stage).await,
        unread(stage).await,
        pushed(stage).await,
        pushed_in_order(stage, &histories).await,
        signed(stage).await,
        nothing_left(stage).await,
        docs(stage).await,
    ];
    tell::table(&rows);
    tell::note(&format!("{:.1} s in all", tell::seconds()));
    rows.iter().all(|row| row.ok)
}

/// A whole history, page by page, turned to oldest first.
async fn history(reader: &Client, channel_id: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/channels/{channel_id}/messages?limit=50{cursor}");
        let mut page = reader.get(&path).await.expect(200);
        messages.append(page["items"].as_array_mut().expect("items"));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    messages.reverse();
    messages
}

fn stored(stage: &Stage, histories: &Histories) -> Row {
    let there: Vec<String> = histories.values().flatten().map(|message| id(message, "ms_id")).collect();
    let acknowledged: BTreeSet<&String> = stage.books.said.iter().map(|said| &said.ms_id).collect();
    let distinct: BTreeSet<&String> = there.iter().collect();
    let found = acknowledged.intersection(&distinct).count();
    let surplus = there.len() - found;
    Row {
        promised: "every acknowledged message is in its channel, once, and nothing else is",
        seen: format!("{found} of {}, {surplus} others", stage.books.said.len()),
        ok: found == stage.books.said.len() && surplus == 0,
    }
}

fn ordered(histories: &Histories) -> Row {
    let whole = |messages: &&Vec<Value>| {
        let gapless = messages.iter().zip(1..).all(|(message, seq)| message["seq"] == seq);
        let ids: Vec<i64> = messages.iter().map(|m| id(m, "ms_id").parse().expect("a number")).collect();
        let times: Vec<OffsetDateTime> = messages.iter().map(server_time).collect();
        gapless && ids.is_sorted_by(|a, b| a < b) && times.is_sorted()
    };
    let good = histories.values().filter(whole).count();
    Row {
        promised: "seq runs from 1 without a gap; ms_id and time rise with it",
        seen: format!("{good} of {} channels", histories.len()),
        ok: good == histories.len(),
    }
}

fn server_time(message: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(&id(message, "server_time"), &Rfc3339).expect("a time")
}

fn once(stage: &Stage) -> Row {
    let (repeats, alike) = (stage.books.repeats, stage.books.repeats_alike);
    Row {
        promised: "a send repeated with its client id is the same message",
        seen: format!("{alike} of {repeats}"),
        ok: repeats > 0 && alike == repeats,
    }
}

async fn newcomer(stage: &Stage, histories: &Histories) -> Row {
    let newcomer = stage.person(NEWCOMER);
    let (mut earlier, mut all) = (0, 0);
    for channel_id in stage.books.channels_of(&newcomer.user_id) {
        let allowed: BTreeSet<&str> = stage
            .books
            .said_in(channel_id)
            .filter(|said| said.sender == newcomer.user_id || said.receivers.contains(&newcomer.user_id))
            .map(|said| said.ms_id.as_str())
            .collect();
        let sees = history(&newcomer.client, channel_id).await;
        earlier += sees.iter().filter(|message| !allowed.contains(id(message, "ms_id").as_str())).count();
        all += histories[channel_id].len() - allowed.len();
    }
    Row {
        promised: "who joins later sees nothing said before",
        seen: format!("{earlier} of {all}"),
        ok: earlier == 0 && all > 0,
    }
}

async fn ledger_rows(stage: &Stage) -> Row {
    let database = stage.cluster.connect(DATABASE).await;
    let rows = database
        .query("SELECT ms_id::text, receiver FROM t_im_message_push", &[])
        .await
        .expect("the ledger can be read");
    let there: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let said = stage.books.said.iter();
    let due: BTreeSet<(&str, &str)> =
        said.flat_map(|said| said.receivers.iter().map(|r| (said.ms_id.as_str(), r.as_str()))).collect();
    Row {
        promised: "the ledger has one row for every message and receiver",
        seen: format!("{} of {}", there.intersection(&due).count(), due.len()),
        ok: rows.len() == due.len() && there == due,
    }
}

async fn ledger_counts(stage: &Stage) -> Row {
    let support = stage.machine("Helpdesk", "support");
    let (mut right, mut sum) = (0, Counts::default());
    for said in &stage.books.said {
        let seen = stage.ledger(&support, &said.ms_id).await;
        right += usize::from(seen == stage.books.counts(said));
        sum.unreceived += seen.unreceived;
        sum.received += seen.received;
        sum.read += seen.read;
    }
    Row {
        promised: "unreceived, received and read are right for every message",
        seen: format!(
            "{right} of {} ({} + {} + {})",
            stage.books.said.len(),
            sum.unreceived,
            sum.received,
            sum.read
        ),
        ok: right == stage.books.said.len(),
    }
}

async fn unread(stage: &Stage) -> Row {
    let (mut right, mut all) = (0, 0);
    for person in &stage.people {
        let list = stage.reader(&person.user_id).get("/conversations?limit=200").await.expect(200);
        let items = list["items"].as_array().expect("items");
        for channel_id in stage.books.channels_of(&person.user_id) {
            let entry = items.iter().find(|entry| entry["channel_id"] == channel_id);
            let expected = stage.books.unread(channel_id, &person.user_id);
            all += 1;
            right += usize::from(entry.is_some_and(|entry| entry["unread_count"] == expected));
        }
    }
    Row {
        promised: "unread is right for every person in every conversation",
        seen: format!("{right} of {all}"),
        ok: right == all,
    }
}

async fn pushed(stage: &Stage) -> Row {
    let (state, pairs) = (stage.gateway.state().await, stage.books.pairs());
    Row {
        promised: "the gateway was given every message for every receiver",
        seen: format!("{} of {pairs}; {} came again", state["pairs"], state["repeats"]),
        ok: state["pairs"] == pairs,
    }
}

async fn pushed_in_order(stage: &Stage, histories: &Histories) -> Row {
    let mut good = 0;
    for (channel_id, messages) in histories {
        let taken = stage.gateway.taken(channel_id).await;
        let mut seqs: Vec<i64> = taken.iter().map(|(seq, ..)| *seq).collect();
        seqs.dedup();
        good += usize::from(seqs.len() == messages.len() && seqs.iter().zip(1..).all(|(seq, n)| *seq == n));
    }
    Row {
        promised: "… first deliveries in order, through outage and kill",
        seen: format!("{good} of {} channels", histories.len()),
        ok: good == histories.len(),
    }
}

async fn signed(stage: &Stage) -> Row {
    let state = stage.gateway.state().await;
    Row {
        promised: "every push was signed and well-formed",
        seen: format!("{} batches, {} refused", state["batches"], state["refused"]),
        ok: state["refused"] == 0,
    }
}

async fn nothing_left(stage: &Stage) -> Row {
    let callback = stage.callback().await;
    let (waiting, dead) = (&callback["waiting_pairs"], &callback["dead_letters"]);
    Row {
        promised: "nothing waits, nothing was given up",
        seen: format!("{waiting} waiting, {dead} dead letters"),
        ok: *waiting == 0 && *dead == 0 && callback["breaker"] == "closed",
    }
}

async fn docs(stage: &Stage) -> Row {
    let page = Client::anonymous(&stage.service.url()).get("/docs").await;
    let kind = page.header("content-type").to_owned();
    Row {
        promised: "the service documents itself",
        seen: format!("GET /docs {} {kind}", page.status),
        ok: page.status == 200 && kind.starts_with("text/html"),
    }
}
