//! People who talk, come, go and read, all at once, and repeat what got no clear answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::dice::Dice;
use super::history::{Attempt, Read, Receipt, Send, SendAnswer};
use super::world::{Channel, REPLICAS, Recent, World, stable};
use crate::support::Reply;

const SENDERS: usize = 12;
const READERS: usize = 3;
const GATEWAYS: usize = 2;
const RELATING: usize = 2;
/// Sends of one bulk call.
const BULK_MAX: usize = 8;

/// Starts everybody. They end once the world stops.
pub fn start(world: &Arc<World>, dice: &mut Dice) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..SENDERS {
        tasks.spawn(sender(world.clone(), dice.fork()));
    }
    for _ in 0..READERS {
        tasks.spawn(reader(world.clone(), dice.fork()));
    }
    for _ in 0..GATEWAYS {
        tasks.spawn(receipts(world.clone(), dice.fork()));
    }
    let channels = world.channels.read().expect("no panic while held").clone();
    for channel in channels.into_iter().filter(|channel| !channel.churners.is_empty()) {
        tasks.spawn(churn(world.clone(), channel, dice.fork()));
    }
    tasks.spawn(upgrades(world.clone(), dice.fork()));
    for _ in 0..RELATING {
        tasks.spawn(relations(world.clone(), dice.fork()));
    }
    tasks
}

// ── Sends ────────────────────────────────────────────────────────────────────────────────────

async fn sender(world: Arc<World>, mut dice: Dice) {
    while !world.stopping() {
        if dice.percent(10) {
            bulk(&world, &mut dice).await;
        } else {
            let (channel, sender) = who_and_where(&world, &mut dice);
            let send = Send { channel_id: channel.id, sender, text: world.text(), attempts: Vec::new() };
            say(&world, &mut dice, &channel, send).await;
        }
        tokio::time::sleep(dice.pause(0, 120)).await;
    }
}

/// One send until its fate is clear, now and then on both replicas at once, now and then again
/// although it is clear.
async fn say(world: &World, dice: &mut Dice, channel: &Arc<Channel>, mut send: Send) {
    loop {
        let replica = dice.below(REPLICAS);
        if dice.percent(8) {
            let (one, other) = tokio::join!(once(world, replica, &send), once(world, 1 - replica, &send));
            send.attempts.extend([one, other]);
        } else {
            let attempt = once(world, replica, &send).await;
            send.attempts.push(attempt);
        }
        let clear = send.attempts.iter().any(|a| a.answer != SendAnswer::Unclear);
        if clear && !dice.percent(8) {
            break;
        }
        tokio::time::sleep(dice.pause(5, 80)).await;
    }
    done(world, channel, send);
}

fn done(world: &World, channel: &Arc<Channel>, send: Send) {
    for attempt in &send.attempts {
        if let SendAnswer::Acknowledged { ms_id, seq } = attempt.answer {
            channel.last_seq.fetch_max(seq, Ordering::Relaxed);
            world.remember(Recent { ms_id, receivers: channel.clone() });
        }
    }
    world.recorder.write(|evidence| evidence.sends.push(send));
}

async fn once(world: &World, replica: usize, send: &Send) -> Attempt {
    let path = format!("/channels/{}/messages", send.channel_id);
    let body = json!({"client_id": send.text, "type": "text", "content": {"text": send.text}});
    let client = world.client(replica, &send.sender);
    let from = world.recorder.now();
    world.in_flight[replica].fetch_add(1, Ordering::Relaxed);
    let reply = world.call(client, Method::POST, &path, Some(body)).await;
    world.in_flight[replica].fetch_sub(1, Ordering::Relaxed);
    let answer = reply.map_or(SendAnswer::Unclear, |reply: Reply| judge(reply.status, &reply.body));
    Attempt { replica, from, to: world.recorder.now(), answer }
}

/// Several sends in one call; those without a clear answer go on one by one.
async fn bulk(world: &World, dice: &mut Dice) {
    let (channel, sender) = who_and_where(world, dice);
    let mut sends = vec![(channel, world.text())];
    for _ in 0..1 + dice.below(BULK_MAX - 1) {
        // Mostly where the sender is a member; elsewhere it is refused and its neighbours are not.
        let found = (0..20).map(|_| who_and_where(world, dice).0).find(|c| c.stable.contains(&sender));
        let channel = found.unwrap_or_else(|| who_and_where(world, dice).0);
        sends.push((channel, world.text()));
    }
    let items: Vec<Value> = sends
        .iter()
        .map(|(channel, text)| {
            json!({"channel_id": channel.id.to_string(), "client_id": text, "type": "text",
                   "content": {"text": text}})
        })
        .collect();
    let replica = dice.below(REPLICAS);
    let from = world.recorder.now();
    world.in_flight[replica].fetch_add(1, Ordering::Relaxed);
    let client = world.client(replica, &sender);
    let reply = world.call(client, Method::POST, "/messages", Some(Value::Array(items))).await;
    world.in_flight[replica].fetch_sub(1, Ordering::Relaxed);
    let to = world.recorder.now();
    let body = reply.filter(|reply| reply.status == 200).map(|reply| reply.body);
    for (i, (channel, text)) in sends.into_iter().enumerate() {
        let result = body.as_ref().map(|body| &body["results"][i]);
        let answer = result.map_or(SendAnswer::Unclear, |result| {
            let status = result["status"].as_u64().expect("a status");
            judge(status as u16, result)
        });
        let attempt = Attempt { replica, from, to, answer };
        let send = Send { channel_id: channel.id, sender: sender.clone(), text, attempts: vec![attempt] };
        if answer == SendAnswer::Unclear {
            say(world, dice, &channel, send).await;
        } else {
            done(world, &channel, send);
        }
    }
}

fn judge(status: u16, body: &Value) -> SendAnswer {
    match status {
        200 | 201 => {
            SendAnswer::Acknowledged { ms_id: id(&body["ms_id"]), seq: body["seq"].as_i64().expect("a seq") }
        }
        400..500 => SendAnswer::Refused(status),
        _ => SendAnswer::Unclear,
    }
}

/// A channel by weight, and mostly one who is surely a member.
fn who_and_where(world: &World, dice: &mut Dice) -> (Arc<Channel>, String) {
    let channels = world.channels.read().expect("no panic while held");
    let channel = loop {
        let channel = dice.pick(&channels);
        if dice.below(channel.weight) == 0 {
            break channel.clone();
        }
    };
    let guests = !channel.churners.is_empty() && dice.percent(10);
    let sender = dice.pick(if guests { &channel.churners } else { &channel.stable });
    let sender = sender.clone();
    (channel, sender)
}

// ── Coming and going ─────────────────────────────────────────────────────────────────────────

/// Makes the guests of a channel join, leave and join again.
async fn churn(world: Arc<World>, channel: Arc<Channel>, mut dice: Dice) {
    let mut inside = vec![false; channel.churners.len()];
    while !world.stopping() {
        let guest = dice.below(inside.len());
        inside[guest] = !inside[guest];
        world.change(&mut dice, &channel, &channel.churners[guest], inside[guest]).await;
        tokio::time::sleep(dice.pause(0, 150)).await;
    }
}

/// Pairs talk, take in a third and are a group; the pair then has a direct channel again.
async fn upgrades(world: Arc<World>, mut dice: Dice) {
    let mut pair = 100;
    while !world.stopping() {
        pair = 100 + (pair - 100 + 1) % 20;
        let members = [stable(pair), stable(pair + 30), stable(pair + 60)];
        let from = world.recorder.now();
        let id = world.open(&mut dice, &members[..2], "direct").await;
        let known = world.channels.read().expect("no panic while held").len();
        for user in &members[..2] {
            world.note_change(id, user, true, (from, world.recorder.now()));
        }
        let channel = world.enter(Channel {
            id,
            stable: members[..2].to_vec(),
            churners: vec![members[2].clone()],
            last_seq: AtomicI64::new(0),
            weight: 1 + known / 10,
        });
        tokio::time::sleep(dice.pause(100, 400)).await;
        world.change(&mut dice, &channel, &members[2], true).await;
        tokio::time::sleep(dice.pause(1000, 2000)).await;
    }
}

/// Pairs become friends and end it, and follow each other, while they talk and their channels become groups. There are no
/// blocks: each send of the load is to be accepted.
async fn relations(world: Arc<World>, mut dice: Dice) {
    while !world.stopping() {
        let pair = 100 + dice.below(20);
        let (one, other) = (stable(pair), stable(pair + 30));
        let (user, other) = if dice.percent(50) { (one, other) } else { (other, one) };
        let path = format!("/users/me/relations/{other}");
        let (method, path, body) = match dice.below(6) {
            0 | 1 => (Method::PUT, path, Some(json!({"kind": "friend"}))),
            2 => (Method::POST, format!("{path}/accept"), None),
            3 => (Method::PUT, path, Some(json!({"kind": "follow"}))),
            4 => (Method::DELETE, format!("{path}?kind=follow"), None),
            _ => (Method::DELETE, format!("{path}?kind=friend"), None),
        };
        let client = world.client(dice.below(REPLICAS), &user);
        let reply = world.call(client, method, &path, body).await;
        let expected = [200, 204, 404, 503];
        assert!(reply.as_ref().is_none_or(|reply| expected.contains(&reply.status)), "{reply:?}");
        tokio::time::sleep(dice.pause(10, 150)).await;
    }
}

// ── Receiving and reading ────────────────────────────────────────────────────────────────────

/// The gateway reports, in bulk, what receivers have received and read; sometimes so soon that
/// their ledger rows are not there yet.
async fn receipts(world: Arc<World>, mut dice: Dice) {
    while !world.stopping() {
        tokio::time::sleep(dice.pause(20, 200)).await;
        let mut told = Vec::new();
        for _ in 0..1 + dice.below(12) {
            let Some(recent) = recent(&world, &mut dice) else {
                break;
            };
            let guests = !recent.receivers.churners.is_empty() && dice.percent(20);
            let from = if guests { &recent.receivers.churners } else { &recent.receivers.stable };
            told.push((recent.ms_id, dice.pick(from).clone(), dice.percent(25)));
        }
        if told.is_empty() {
            continue;
        }
        let status = |read: bool| if read { "read" } else { "received" };
        let items: Vec<Value> = told
            .iter()
            .map(|(ms_id, who, read)| {
                json!({"ms_id": ms_id.to_string(), "receiver": who, "status": status(*read)})
            })
            .collect();
        let replica = dice.below(REPLICAS);
        let client = world.client(replica, "gateway").with_roles(&["gateway"]);
        let reply = world.call(client, Method::POST, "/receipts", Some(Value::Array(items))).await;
        let body = reply.filter(|reply| reply.status == 200).map(|reply| reply.body);
        for (i, (ms_id, receiver, read)) in told.into_iter().enumerate() {
            let taken = body.as_ref().is_some_and(|body| body["results"][i]["status"] != "unknown");
            let receipt = Receipt { ms_id, receiver, read, taken };
            world.recorder.write(|evidence| evidence.receipts.push(receipt));
        }
    }
}

/// People move their cursors, also back, also where they are no members any more.
async fn reader(world: Arc<World>, mut dice: Dice) {
    while !world.stopping() {
        tokio::time::sleep(dice.pause(10, 100)).await;
        let (channel, user) = who_and_where(&world, &mut dice);
        let last = channel.last_seq.load(Ordering::Relaxed);
        let seq = (last - dice.below(12) as i64).max(0);
        let path = format!("/channels/{}/read", channel.id);
        let client = world.client(dice.below(REPLICAS), &user);
        let reply = world.call(client, Method::POST, &path, Some(json!({"seq": seq}))).await;
        let ok = reply.filter(|reply| reply.status == 200);
        let read = Read {
            channel_id: channel.id,
            user,
            seq,
            read_seq: ok.map(|reply| reply.body["read_seq"].as_i64().expect("a cursor")),
        };
        world.recorder.write(|evidence| evidence.reads.push(read));
    }
}

/// One of the last messages, mostly of the very last.
fn recent(world: &World, dice: &mut Dice) -> Option<Recent> {
    let recent = world.recent.lock().expect("no panic while held");
    if recent.is_empty() {
        return None;
    }
    let back = if dice.percent(60) { dice.below(recent.len().min(5)) } else { dice.below(recent.len()) };
    recent.get(recent.len() - 1 - back).cloned()
}

pub fn id(value: &Value) -> i64 {
    let text = value.as_str().expect("an id is a string");
    text.parse().expect("an id is decimal")
}
