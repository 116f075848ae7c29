//! What everything is measured against: the same rows written by hand-made SQL, straight into the
//! same tables of the same server, with nothing in front of it. Its queue rows carry another
//! callback's name, so that nobody pushes them.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::types::Json;

use super::load::{Load, unique};
use super::world::{CONTENT, World};

const SEND: &str = include_str!("raw_send.sql");
const ROWS: &str = "INSERT INTO t_im_message_push (ms_id, receiver, channel_id, last_modified_time) \
     SELECT $1, user_id, channel_id, now() FROM t_im_channel_user \
     WHERE channel_id = $2 AND to_seq IS NULL AND user_id <> 'u0000001' ORDER BY user_id";
const RECEIVED: &str =
    "UPDATE t_im_message_push SET status = 1, last_modified_time = now() WHERE ms_id = $1 AND status = 0";

/// Batches of sends for so long: one of each sender's in a batch, the senders shared out over
/// `lanes` connections. A latency is a batch's; messages are latencies times batch.
pub async fn sends(
    world: &World<'_>,
    senders: &[(String, Vec<i64>)],
    lanes: usize,
    length: Duration,
) -> Load {
    let share = senders.len().div_ceil(lanes);
    let mut running = JoinSet::new();
    let mut clients = Vec::new();
    for _ in senders.chunks(share) {
        clients.push(world.raw().await);
    }
    let run = unique(0);
    let started = Instant::now();
    for (client, senders) in clients.into_iter().zip(senders.chunks(share)) {
        let senders = senders.to_vec();
        running.spawn(async move {
            let statement = client.prepare(SEND).await.expect("hand-made SQL");
            let names: Vec<&str> = senders.iter().map(|(name, _)| name.as_str()).collect();
            let content: serde_json::Value = serde_json::from_str(CONTENT).expect("JSON");
            let contents: Vec<_> = senders.iter().map(|_| Json(&content)).collect();
            let mut load = Load::default();
            for turn in 0.. {
                let begun = Instant::now();
                if begun - started >= length {
                    break;
                }
                let channels: Vec<i64> = senders.iter().map(|(_, c)| c[turn % c.len()]).collect();
                let ids: Vec<String> =
                    (0..senders.len()).map(|n| format!("{run:04x}{turn:08x}{n:04x}")).collect();
                client
                    .execute(&statement, &[&channels, &names, &ids, &contents])
                    .await
                    .expect("hand-made SQL");
                load.latencies.extend(std::iter::repeat_n(begun.elapsed(), senders.len()));
            }
            load
        });
    }
    Load::gather(started, running).await
}

/// The rows of `messages` messages into a group, then `received` for all of them, one message a
/// statement and a commit. On one connection, or, as the service does it, with one connection
/// that writes rows while another advances those written before. Seconds.
pub async fn ledger(world: &World<'_>, group: i64, messages: i64, together: bool) -> f64 {
    let first = world.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint << 22").await;
    let (writer, advancer) = (world.raw().await, world.raw().await);
    let write = writer.prepare(ROWS).await.expect("hand-made SQL");
    let advance = advancer.prepare(RECEIVED).await.expect("hand-made SQL");
    let started = Instant::now();
    let (written, mut to_advance) = tokio::sync::mpsc::unbounded_channel();
    let (again, mut advanced) = tokio::sync::mpsc::channel(1);
    let writing = async move {
        for ms_id in first..first + messages {
            writer.execute(&write, &[&ms_id, &group]).await.expect("hand-made SQL");
            let _ = written.send(ms_id);
            if !together {
                advanced.recv().await;
            }
        }
        drop(written);
    };
    let advancing = async move {
        while let Some(ms_id) = to_advance.recv().await {
            advancer.execute(&advance, &[&ms_id]).await.expect("hand-made SQL");
            if !together {
                let _ = again.send(()).await;
            }
        }
    };
    tokio::join!(writing, advancing);
    started.elapsed().as_secs_f64()
}
