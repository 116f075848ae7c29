//! What there is in the end: rows, pages, lists, and what the gateway saw.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dice::Dice;
use super::history::{Arrival, Conversation, Evidence, Interval, LedgerRow, Message, Paged};
use super::load::id;
use super::moods::said;
use super::world::{REPLICAS, World};
use crate::people::relations::{UNMARKED, UNPAIRED};
use crate::support::Reply;

/// What must be empty once all work is done.
const TRANSIENT: &[&str] = &[
    "t_im_push_queue",
    "t_im_push_commit",
    "t_im_push_batch",
    "t_im_receipt_pending",
    "t_im_read",
    "t_im_push_dead",
];
/// All work is done this long after the load has ended.
const DRAIN: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);
/// People whose conversation lists are looked at.
const LISTED: usize = 120;

/// Waits until nothing is left to do, or for too long; the checker says what is left then.
pub async fn drained(world: &World) {
    let sql = world.sql().await;
    let started = Instant::now();
    while left_over(&sql).await.iter().any(|(_, rows)| *rows > 0) && started.elapsed() < DRAIN {
        tokio::time::sleep(LOOK).await;
    }
}

async fn left_over(sql: &tokio_postgres::Client) -> Vec<(String, i64)> {
    let mut left = Vec::new();
    for table in TRANSIENT {
        let row = sql.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await;
        left.push(((*table).to_owned(), row.expect("a count").get(0)));
    }
    left
}

/// Adds to what was recorded all that is found now.
pub async fn collect(world: &World, evidence: &mut Evidence, dice: &mut Dice) {
    let sql = world.sql().await;
    evidence.left_over = left_over(&sql).await;
    for (what, query) in [("relations that are no pairs", UNPAIRED), ("members of pairs", UNMARKED)] {
        let row = sql.query_one(query, &[]).await.expect("a count");
        evidence.left_over.push((what.to_owned(), row.get(0)));
    }
    rows(&sql, evidence).await;
    evidence.arrivals = arrivals(world);
    conversations(world, evidence, dice).await;
    let channels: BTreeSet<i64> = evidence.messages.iter().map(|m| m.channel_id).collect();
    for channel_id in channels {
        let members: BTreeSet<&str> = evidence
            .intervals
            .iter()
            .filter(|i| i.channel_id == channel_id && i.to_seq.is_none())
            .map(|i| i.user.as_str())
            .collect();
        let (first, last) = (members.first(), members.last());
        // People who come and go have lower names than those who stay.
        let readers: BTreeSet<String> = first.into_iter().chain(last).map(|r| (*r).to_owned()).collect();
        for reader in readers {
            let ms_ids = paged(world, channel_id, &reader, dice).await;
            evidence.paged.push(Paged { channel_id, reader, ms_ids });
        }
    }
}

async fn rows(sql: &tokio_postgres::Client, evidence: &mut Evidence) {
    let all = async |query: &str| sql.query(query, &[]).await.expect("rows");
    let messages = "SELECT ms_id, channel_id, seq, (extract(epoch FROM server_time) * 1000000)::bigint AS server_time, \
                    sender, content ->> 'text' AS text FROM t_im_message ORDER BY ms_id";
    evidence.messages = all(messages)
        .await
        .iter()
        .map(|row| Message {
            ms_id: row.get("ms_id"),
            channel_id: row.get("channel_id"),
            seq: row.get("seq"),
            server_time: row.get("server_time"),
            sender: row.get("sender"),
            text: row.get("text"),
        })
        .collect();
    let intervals = "SELECT * FROM t_im_channel_user";
    evidence.intervals = all(intervals)
        .await
        .iter()
        .map(|row| Interval {
            channel_id: row.get("channel_id"),
            user: row.get("user_id"),
            from_seq: row.get("from_seq"),
            to_seq: row.get("to_seq"),
            sees_from_seq: row.get("sees_from_seq"),
            read_seq: row.get("read_seq"),
        })
        .collect();
    let members = "SELECT s.channel_id, s.user_id FROM t_im_channel_slot s \
                   JOIN t_im_channel_block b ON b.channel_id = s.channel_id AND b.block = s.slot >> 10 \
                   WHERE im_bit(b.members, s.slot & 1023) = 1";
    evidence.members = all(members).await.iter().map(|row| (row.get(0), row.get(1))).collect();
    let ledger = "SELECT ms_id, receiver, status, verdict FROM t_im_message_push";
    evidence.ledger = all(ledger)
        .await
        .iter()
        .map(|row| LedgerRow {
            ms_id: row.get("ms_id"),
            receiver: row.get("receiver"),
            status: row.get("status"),
            verdict: row.get("verdict"),
        })
        .collect();
}

fn arrivals(world: &World) -> Vec<Arrival> {
    let number = |text: &String| text.parse::<i64>().expect("a decimal id");
    world.gateway.read(|record| {
        assert!(record.refusals.is_empty(), "the gateway refused {:?}", record.refusals);
        record
            .arrivals
            .iter()
            .map(|arrival| Arrival {
                batch_id: arrival.batch.webhook_id.clone(),
                messages: arrival
                    .batch
                    .messages
                    .iter()
                    .map(|m| (number(&m.ms_id), number(&m.channel_id), m.seq))
                    .collect(),
                deliveries: arrival
                    .batch
                    .deliveries
                    .iter()
                    .map(|d| (d.receivers.clone(), d.ms_ids.iter().map(number).collect()))
                    .collect(),
                answer: arrival.answer.as_ref().and_then(said),
            })
            .collect()
    })
}

/// The lists of some people, page after page.
async fn conversations(world: &World, evidence: &mut Evidence, dice: &mut Dice) {
    let users: BTreeSet<String> = evidence.intervals.iter().map(|i| i.user.clone()).collect();
    let mut users: Vec<String> = users.into_iter().collect();
    while users.len() > LISTED {
        users.swap_remove(dice.below(users.len()));
    }
    for user in &users {
        let (mut cursor, limit) = (None, 1 + dice.below(200));
        loop {
            let page = page(world, dice, user, &format!("/conversations?limit={limit}"), cursor).await;
            for item in page["items"].as_array().expect("items") {
                let shown = Conversation {
                    user: user.clone(),
                    channel_id: id(&item["channel_id"]),
                    unread_count: item["unread_count"].as_i64().expect("a count"),
                    read_seq: item["read_seq"].as_i64().expect("a cursor"),
                };
                // Later pages may repeat an entry that changed meanwhile.
                let known = |c: &Conversation| c.user == shown.user && c.channel_id == shown.channel_id;
                if !evidence.conversations.iter().any(known) {
                    evidence.conversations.push(shown);
                }
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
    }
    evidence.listed = users;
}

/// A channel's whole history, one way or the other; in order of seq either way.
async fn paged(world: &World, channel_id: i64, reader: &str, dice: &mut Dice) -> Vec<i64> {
    let forward = dice.percent(50);
    let way = if forward { "after_seq=0&" } else { "" };
    let limit = 1 + dice.below(200);
    let start = format!("/channels/{channel_id}/messages?{way}limit={limit}");
    let next = format!("/channels/{channel_id}/messages?limit={limit}");
    let (mut ms_ids, mut cursor) = (Vec::new(), None);
    loop {
        let path = if cursor.is_none() { &start } else { &next };
        let page = page(world, dice, reader, path, cursor).await;
        ms_ids.extend(page["items"].as_array().expect("items").iter().map(|item| id(&item["ms_id"])));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if !forward {
        ms_ids.reverse();
    }
    ms_ids
}

async fn page(world: &World, dice: &mut Dice, user: &str, path: &str, cursor: Option<String>) -> Value {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let client = world.client(dice.below(REPLICAS), user);
    let reply: Reply = client.get(&format!("{path}{cursor}")).await;
    reply.expect(200)
}
