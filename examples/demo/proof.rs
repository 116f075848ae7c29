//! The comparison at the end: every promise against the state of all parts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::books::Counts;
use crate::month::Month;
use crate::stage::{Stage, id, until};
use crate::story::NEWCOMER;
use crate::support::Client;
use crate::tell;
use crate::turnover::Turnover;

const PAGE: usize = 50;

/// A promise, and what was found.
pub struct Row {
    pub promised: &'static str,
    pub seen: String,
    pub ok: bool,
}

/// The messages of each channel, oldest first, as a member from the start reads them.
type Histories = BTreeMap<String, Vec<Value>>;

/// Prints a table of all promises. Returns whether all were kept.
pub async fn compare(stage: &Stage, month: &Month, turnover: &Turnover) -> bool {
    tell::chapter("Every promise, compared with the state of all parts");
    until("no push waits for the gateway", async || {
        let callback = stage.callback().await;
        callback["waiting_rows"] == 0 && callback["batches_in_flight"] == 0
    })
    .await;
    let mut histories = Histories::new();
    for (channel_id, founder) in stage.books.channels() {
        let reader = stage.reader(founder);
        histories.insert(channel_id.to_owned(), history(&reader, channel_id, PAGE).await);
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
        moved(month),
        read_while_moving(month),
        late(month),
        found(month),
        not_got(month),
        left(turnover),
        followed(turnover),
        docs(stage).await,
    ];
    tell::table(&rows);
    tell::note(&format!("{:.1} s in total", tell::seconds()));
    rows.iter().all(|row| row.ok)
}

/// A whole history, read page by page, returned oldest first.
pub async fn history(reader: &Client, channel_id: &str, limit: usize) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/channels/{channel_id}/messages?limit={limit}{cursor}");
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
        promised: "every acknowledged message is in its channel once, and no other messages are",
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
        promised: "seq runs from 1 without gaps; ms_id and time rise with it",
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
        promised: "a send repeated with its client_id returns the same message",
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
        let sees = history(&newcomer.client, channel_id, PAGE).await;
        earlier += sees.iter().filter(|message| !allowed.contains(id(message, "ms_id").as_str())).count();
        all += histories[channel_id].len() - allowed.len();
    }
    Row {
        promised: "a new member sees no earlier messages",
        seen: format!("{earlier} of {all}"),
        ok: earlier == 0 && all > 0,
    }
}

async fn ledger_rows(stage: &Stage) -> Row {
    let support = stage.machine("Helpdesk", "support").client;
    let (mut due, mut there, mut rows) = (BTreeSet::new(), BTreeSet::new(), 0);
    for said in &stage.books.said {
        due.extend(said.receivers.iter().map(|receiver| (said.ms_id.clone(), receiver.clone())));
        let mut cursor = String::new();
        loop {
            let path = format!("/messages/{}/receipts?reason=demo&limit=200{cursor}", said.ms_id);
            let page = support.get(&path).await.expect(200);
            let items = page["items"].as_array().expect("items");
            rows += items.len();
            there.extend(items.iter().map(|row| (said.ms_id.clone(), id(row, "receiver"))));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    Row {
        promised: "every receiver of every message has a push status, hot and cold",
        seen: format!("{} of {}", there.intersection(&due).count(), due.len()),
        ok: rows == due.len() && there == due,
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
        promised: "the counts of unreceived, received and read are right for every message",
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
    for person in stage.people.iter().filter(|person| !stage.left.contains(&person.user_id)) {
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
        promised: "unread counts are right for every user in every conversation",
        seen: format!("{right} of {all}"),
        ok: right == all,
    }
}

async fn pushed(stage: &Stage) -> Row {
    let (state, pairs) = (stage.gateway.state().await, stage.books.pairs());
    Row {
        promised: "the gateway got every message for every receiver",
        seen: format!("{} of {pairs}; {} were repeated", state["pairs"], state["repeats"]),
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
        promised: "… first deliveries in order, also through the outage and the kill",
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
        promised: "no push waits, none was given up",
        seen: format!("{waiting} waiting, {dead} dead letters"),
        ok: *waiting == 0 && *dead == 0 && callback["breaker"] == "closed",
    }
}

fn moved(month: &Month) -> Row {
    let count = |name: &str| month.run[name].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let (moved, expected) = ((count("messages"), count("ledger_rows")), month.expected());
    Row {
        promised: "a month later all messages are in the archive, and their tables are dropped",
        seen: format!(
            "{} of {} messages, {} of {} statuses, {} tables",
            moved.0, expected.0, moved.1, expected.1, month.tables
        ),
        ok: moved == expected && month.run["outcome"] == "done" && month.tables == 0,
    }
}

fn read_while_moving(month: &Month) -> Row {
    Row {
        promised: "… a reader sees every message once, in order, during the move",
        seen: format!("{} of {} times", month.read_alike, month.read),
        ok: month.read > 1 && month.read_alike == month.read,
    }
}

fn late(month: &Month) -> Row {
    Row {
        promised: "a late receipt and a late read of a cold message count",
        seen: format!("{} of 2", month.late),
        ok: month.late == 2,
    }
}

fn found(month: &Month) -> Row {
    let ([hot, cold], [hot_all, cold_all]) = (month.hits, month.hits_expected);
    Row {
        promised: "one search finds hot and cold messages",
        seen: format!("{hot} of {hot_all} hot, {cold} of {cold_all} cold"),
        ok: month.hits == month.hits_expected,
    }
}

fn not_got(month: &Month) -> Row {
    let audited = if month.audited { "audited" } else { "not audited" };
    Row {
        promised: "support sees the messages that a user did not get, and the audit records it",
        seen: format!("{} of {}, {audited}", month.missed, month.missed_expected),
        ok: month.missed == month.missed_expected && month.audited,
    }
}

fn left(turnover: &Turnover) -> Row {
    Row {
        promised: "a leaver is refused, is in no group, gets no messages and keeps a name",
        seen: format!("{} of 4", turnover.left),
        ok: turnover.left == 4,
    }
}

fn followed(turnover: &Turnover) -> Row {
    Row {
        promised: "a user who moves is in HR's department, and in its group",
        seen: format!("{} of 3", turnover.moved),
        ok: turnover.moved == 3,
    }
}

async fn docs(stage: &Stage) -> Row {
    let page = Client::anonymous(&stage.service.url()).get("/docs").await;
    let kind = page.header("content-type").to_owned();
    Row {
        promised: "the service serves its documentation",
        seen: format!("GET /docs {} {kind}", page.status),
        ok: page.status == 200 && kind.starts_with("text/html"),
    }
}
