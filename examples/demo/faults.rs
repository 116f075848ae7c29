//! Faults: the gateway is down, and the service is killed.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::stage::{Caller, Stage, until};
use crate::tell;

const TEAMS_TALKING: std::ops::Range<usize> = 1..4;
const EACH_SAYS: usize = 10;
/// Sends of each sender around the kill, and the number of acknowledged sends at which it happens.
const SENDS_EACH: usize = 40;
const KILL_AFTER: usize = 90;
/// The most tries of a send without an answer.
const TRIES: usize = 5;

pub async fn outage(stage: &mut Stage) {
    tell::chapter("The gateway fails: sends are still acknowledged, pushes wait and then go out in order");
    let mut teams = Vec::new();
    for team in TEAMS_TALKING {
        teams.push(stage.team(team).await);
    }
    stage.gateway.set_mode("fails").await;
    tell::note("the gateway answers 500 from now on");
    for (channel_id, founder) in &teams {
        let text = |n| (channel_id.as_str(), format!("进度 {n}/{EACH_SAYS} status report {n}"));
        let texts: Vec<_> = (1..=EACH_SAYS).map(text).collect();
        stage.send_many(founder, &texts).await;
    }
    stage.gateway.wait_for_failures(1).await;
    until("the breaker opens", async || stage.callback().await["breaker"] != "closed").await;
    stage.gateway.set_mode("down").await;
    tell::note("the gateway's port is closed");
    for (channel_id, founder) in &teams {
        stage.say(founder, channel_id, "网关断了也能发 sent while the gateway is gone").await;
    }
    let ops = stage.machine("Ops", "admin");
    let deliveries = "/callbacks/gateway/deliveries?limit=1";
    until("a push meets the closed port", async || {
        ops.client.get(deliveries).await.expect(200)["items"][0]["error"] == "no connection"
    })
    .await;
    ops.get(deliveries, &["items/0/http_status", "items/0/error", "items/0/pairs"]).await;
    ops.get("/callbacks", &["items/0/breaker", "items/0/waiting_pairs", "items/0/dead_letters"]).await;
    tell::note("the gateway comes back");
    let back = Instant::now();
    stage.gateway.set_mode("works").await;
    stage.all_pushed().await;
    tell::note(&format!("all waiting pushes have arrived after {:.1} s", back.elapsed().as_secs_f64()));
    for (channel_id, _) in &teams {
        let seqs: Vec<i64> = stage.gateway.taken(channel_id).await.iter().map(|taken| taken.0).collect();
        assert!(seqs.is_sorted(), "out of order in channel {channel_id}: {seqs:?}");
    }
    tell::note("… in the order of the sends, in every channel");
}

/// One send, as its sender saw it.
struct Sent {
    n: usize,
    channel_id: String,
    sender: String,
    answer: Value,
    /// The number of earlier tries without an answer.
    cut_off: usize,
}

pub async fn kill(stage: &mut Stage) {
    tell::chapter("The service is killed (SIGKILL) under load and started again");
    let acknowledged = watch::Sender::new(0);
    let (restarted, _) = watch::channel(false);
    let mut talking = Vec::new();
    for team in 4..10 {
        let (channel_id, founder) = stage.team(team).await;
        let talk = Talk {
            channel_id,
            who: founder,
            acknowledged: acknowledged.clone(),
            restarted: restarted.subscribe(),
        };
        talking.push(tokio::spawn(talk.all()));
    }
    tell::note(&format!("{} users send {SENDS_EACH} messages each, one after another", talking.len()));
    let mut enough = acknowledged.subscribe();
    enough.wait_for(|n| *n >= KILL_AFTER).await.expect("senders are there");
    let pid = stage.service.pid().expect("it runs");
    stage.service.kill9();
    let before = *acknowledged.borrow();
    tell::note(&format!("kill -9 {pid}, after {before} sends were acknowledged"));
    let gone = Instant::now();
    stage.service.restart().await;
    restarted.send_replace(true);
    let pid = stage.service.pid().expect("it runs");
    tell::note(&format!(
        "the service is ready again as pid {pid} after {:.1} s",
        gone.elapsed().as_secs_f64()
    ));
    let mut sent = Vec::new();
    for talk in talking {
        sent.extend(talk.await.expect("every send ends acknowledged"));
    }
    let (cut_off, stored) = enter(stage, &mut sent);
    tell::note(&format!(
        "{cut_off} sends got no answer and were repeated with their client_id; {stored} of them had been stored"
    ));
    repeat_all(stage, &sent).await;
    let ops = stage.machine("Ops", "admin");
    let shown = ["items/0/breaker", "items/0/batches_in_flight", "items/0/waiting_pairs"];
    ops.get("/callbacks", &shown).await;
    tell::note(
        "batches that the killed process was pushing are repeated after their lease expires: 5 s in this demo",
    );
    stage.all_pushed().await;
    tell::note(&format!(
        "the gateway has received all messages, {:.1} s after the kill",
        gone.elapsed().as_secs_f64()
    ));
}

/// Records the sends in the order in which they were stored. Returns the number of sends without a first answer,
/// and how many of those had been stored.
fn enter(stage: &mut Stage, sent: &mut [Sent]) -> (usize, usize) {
    sent.sort_by_key(|sent| sent.answer["ms_id"].as_str().and_then(|id| id.parse::<i64>().ok()));
    let cut_off = sent.iter().filter(|sent| sent.cut_off > 0);
    let stored = cut_off.clone().filter(|sent| sent.answer["repeated"] == true).count();
    let cut_off = cut_off.count();
    for Sent { channel_id, sender, answer, .. } in sent.iter() {
        stage.books.said(channel_id, sender, answer);
    }
    (cut_off, stored)
}

/// Repeats every send, like a portal that does not know whether it was stored.
async fn repeat_all(stage: &mut Stage, sent: &[Sent]) {
    let mut alike = 0;
    for Sent { n, channel_id, sender, answer, .. } in sent {
        let path = format!("/channels/{channel_id}/messages");
        let again = stage.reader(sender).post(&path, message(*n)).await.expect(200);
        let same = again["ms_id"] == answer["ms_id"] && again["repeated"] == true;
        stage.books.repeated(same);
        alike += usize::from(same);
    }
    tell::note(&format!("all {} sends are repeated: {alike} return the same ms_id", sent.len()));
}

fn message(n: usize) -> Value {
    let text = format!("第 {n} 条 number {n}");
    json!({"client_id": format!("traffic-{n}"), "type": "text", "content": {"text": text}})
}

/// The sends of one user.
struct Talk {
    channel_id: String,
    who: Caller,
    acknowledged: watch::Sender<usize>,
    restarted: watch::Receiver<bool>,
}

impl Talk {
    async fn all(mut self) -> Vec<Sent> {
        let mut sent = Vec::with_capacity(SENDS_EACH);
        for n in 0..SENDS_EACH {
            sent.push(self.one(n).await);
            self.acknowledged.send_modify(|n| *n += 1);
        }
        sent
    }

    /// Repeats a send with one client id until there is an answer.
    async fn one(&mut self, n: usize) -> Sent {
        let path = format!("/channels/{}/messages", self.channel_id);
        let body = message(n);
        for cut_off in 0..TRIES {
            let reply = self.who.client.try_call(Method::POST, &path, Some(body.clone())).await;
            match reply {
                Ok(reply) if reply.status < 300 => {
                    return Sent {
                        n,
                        channel_id: self.channel_id.clone(),
                        sender: self.who.user_id.clone(),
                        answer: reply.body,
                        cut_off,
                    };
                }
                Ok(reply) => assert!(reply.status >= 500, "{} {}", reply.status, reply.body),
                Err(_) => {}
            }
            self.restarted.wait_for(|yes| *yes).await.expect("the demo goes on");
        }
        panic!("{} got no answer {TRIES} times", self.who.name)
    }
}
