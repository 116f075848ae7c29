//! Group commit: sends that arrive while a commit runs share the next one. No timer waits, so
//! an idle service adds no latency; every caller is answered after the commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Client;
use futures_util::future::{BoxFuture, try_join, try_join3};
use postgres_types::{Json, ToSql};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Row, Statement};

use super::outgoing::{Outgoing, Sent};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::sql;
use crate::store::Store;

/// Wait before a batch that met contention, an absent database or only locked channels.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest wait for a transaction that sends share, locks included.
const COMMIT_MAX: Duration = Duration::from_secs(10);
/// No channel has this id.
const NO_CHANNEL: i64 = 0;

struct Waiting {
    send: Outgoing,
    since: Instant,
    reply: oneshot::Sender<Result<Sent>>,
}

/// Where sends go in. Cheap to clone; a channel always takes the same lane, so that its sends
/// keep the order in which they came.
#[derive(Clone)]
pub struct Sender {
    lanes: Arc<[mpsc::Sender<Waiting>]>,
}

/// What the lanes need, and whom they wake.
pub struct Lanes {
    pub store: Store,
    pub push: Arc<Notify>,
    pub index: Arc<Notify>,
    pub events: Arc<Notify>,
}

impl Sender {
    /// Opens the lanes, each a task for `spawn`. It runs until every `Sender` is gone and its queue
    /// is empty.
    pub fn open(config: &Config, lanes: Lanes, spawn: impl Fn(BoxFuture<'static, ()>)) -> Self {
        let Lanes { store, push, index, events } = lanes;
        let open_lane = |_| {
            let (entry, queue) = mpsc::channel(config.send_queue);
            let lane = Lane {
                store: store.clone(),
                push: push.clone(),
                index: index.clone(),
                events: events.clone(),
                batch: config.send_batch,
                queue: config.send_queue,
                batch_pairs: i32::try_from(config.callback_batch_pairs).unwrap_or(i32::MAX),
                batch_bytes: i32::try_from(config.callback_batch_bytes).unwrap_or(i32::MAX),
                patience: config.request_timeout,
            };
            spawn(Box::pin(lane.run(queue)));
            entry
        };
        Self { lanes: (0..config.send_lanes).map(open_lane).collect() }
    }

    /// Sends one message; returns once it is committed or refused.
    pub async fn send(&self, send: Outgoing) -> Result<Sent> {
        self.enter(send)?.await.map_err(|_| Error::unavailable("the service is stopping"))?
    }

    /// Sends many; one result for each, in order. A bad one does not fail its neighbours.
    pub async fn send_all(&self, sends: Vec<Result<Outgoing>>) -> Vec<Result<Sent>> {
        let entered: Vec<_> = sends.into_iter().map(|send| send.and_then(|send| self.enter(send))).collect();
        let mut results = Vec::with_capacity(entered.len());
        for reply in entered {
            results.push(match reply {
                Ok(reply) => {
                    reply.await.unwrap_or_else(|_| Err(Error::unavailable("the service is stopping")))
                }
                Err(refused) => Err(refused),
            });
        }
        results
    }

    fn enter(&self, send: Outgoing) -> Result<oneshot::Receiver<Result<Sent>>> {
        let (reply, answer) = oneshot::channel();
        let lane = &self.lanes[send.channel_id.unsigned_abs() as usize % self.lanes.len()];
        lane.try_send(Waiting { send, since: Instant::now(), reply })
            .map_err(|_| Error::unavailable("too many sends are waiting"))?;
        Ok(answer)
    }
}

struct Lane {
    store: Store,
    push: Arc<Notify>,
    index: Arc<Notify>,
    events: Arc<Notify>,
    batch: usize,
    queue: usize,
    batch_pairs: i32,
    batch_bytes: i32,
    patience: Duration,
}

/// What became of one send of a committed batch.
enum Outcome {
    Done(Result<Sent>),
    /// Somebody else holds the channel: the send goes into the next batch.
    Locked,
}

impl Lane {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        // Channels that somebody else held a moment ago.
        let mut held: HashSet<i64> = HashSet::new();
        loop {
            if waiting.is_empty() {
                match queue.recv().await {
                    Some(first) => waiting.push_back(first),
                    None => return,
                }
            }
            while waiting.len() < self.queue {
                let Ok(next) = queue.try_recv() else { break };
                waiting.push_back(next);
            }
            let (batch, rest) = self.pick(waiting, &held);
            let size = batch.len();
            let left = self.settle(batch).await;
            if left.len() == size {
                tokio::time::sleep(PAUSE).await;
            }
            held = left.iter().map(|item| item.send.channel_id).collect();
            // What is left came before what was not picked.
            waiting = left.into_iter().chain(rest).collect();
        }
    }

    /// The next batch, in order. Of a channel that was held only the first send tries again, and
    /// such sends take half a batch at most: a held channel stalls nobody else. A send that waited
    /// for too long, or for nobody, has not been tried and is dropped.
    fn pick(&self, waiting: VecDeque<Waiting>, held: &HashSet<i64>) -> (Vec<Waiting>, Vec<Waiting>) {
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        let mut tried = HashSet::new();
        for item in waiting {
            let channel = item.send.channel_id;
            let waits = batch.len() >= self.batch
                || held.contains(&channel) && (tried.len() > self.batch / 2 || !tried.insert(channel));
            if item.reply.is_closed() {
                continue;
            } else if item.since.elapsed() > self.patience {
                let _ = item.reply.send(Err(Error::unavailable("the channel is held by others")));
            } else if waits {
                rest.push(item);
            } else {
                batch.push(item);
            }
        }
        (batch, rest)
    }

    /// Commits a batch and answers its callers. Returns those whose channel was locked.
    async fn settle(&self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let deadline = Instant::now() + self.patience;
        let sends: Vec<&Outgoing> = batch.iter().map(|w| &w.send).collect();
        let started = Instant::now();
        let outcomes = self.commit_all(&sends, deadline).await;
        metrics::histogram!("impg_send_commit_seconds").record(started.elapsed());
        metrics::histogram!("impg_send_batch_size").record(batch.len() as f64);
        let mut left = Vec::new();
        for (waiting, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Locked => left.push(waiting),
                Outcome::Done(result) => {
                    let label = if result.is_ok() { "accepted" } else { "refused" };
                    metrics::counter!("impg_sends_total", "result" => label).increment(1);
                    // A caller who went away does not undo the commit.
                    let _ = waiting.reply.send(result);
                }
            }
        }
        left
    }

    /// Commits, again while it can help: after contention, a missing partition or an unclear
    /// commit (the client ids then tell what is stored). What fails for itself is bisected out.
    async fn commit_all(&self, sends: &[&Outgoing], deadline: Instant) -> Vec<Outcome> {
        let mut parts = vec![sends];
        let mut outcomes = Vec::with_capacity(sends.len());
        // A channel found held stays so for this batch: its later sends must not overtake.
        let mut held = HashSet::new();
        let mut reconnected = false;
        while let Some(part) = parts.pop() {
            match self.commit(part, &mut held).await {
                Ok(done) => outcomes.extend(done),
                // After a switchover a new connection finds the server that writes; if not, waiting does not help.
                Err(e) if e.needs_reconnect() && std::mem::replace(&mut reconnected, true) => {
                    let refused = |_: &_| Outcome::Done(Err(Error::new(e.kind, e.detail.clone())));
                    outcomes.extend(part.iter().map(refused));
                }
                Err(e) if Instant::now() > deadline => {
                    if !e.is_database_away() {
                        tracing::warn!(error = %e, sends = part.len(), "sends not committed in time");
                    }
                    let late = || Error::unavailable("the database did not commit in time");
                    outcomes.extend(part.iter().map(|_| Outcome::Done(Err(late()))));
                }
                Err(e) if is_missing_partition(&e) => {
                    if let Err(e) = self.make_missing_partitions(part).await {
                        if !e.is_database_away() {
                            tracing::warn!(error = %e, "a missing partition could not be made");
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                    parts.push(part);
                }
                Err(e) if e.is_contention() || e.is_unavailable() => {
                    tokio::time::sleep(PAUSE).await;
                    parts.push(part);
                }
                Err(e) if part.len() == 1 => outcomes.push(Outcome::Done(Err(e))),
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        outcomes
    }

    /// On a connection of its own: the days of now and of the channels' own clocks.
    async fn make_missing_partitions(&self, sends: &[&Outgoing]) -> Result<()> {
        let client = self.store.client().await?;
        let channels: Vec<i64> = sends.iter().map(|s| s.channel_id).collect();
        let statement = client.prepare_cached(sql!("message/make_missing_partitions")).await?;
        client.execute(&statement, &[&channels]).await?;
        Ok(())
    }

    /// One transaction, within a time. A connection that does not answer is thrown away: what
    /// became of its commit is unclear, and the client ids will tell.
    async fn commit(&self, sends: &[&Outgoing], held: &mut HashSet<i64>) -> Result<Vec<Outcome>> {
        let client = self.store.client().await?;
        match tokio::time::timeout(COMMIT_MAX, self.transact(&client, sends, held)).await {
            Ok(done) => done,
            Err(_) => {
                drop(Client::take(client));
                Err(Error::unavailable("the database does not answer"))
            }
        }
    }

    /// If it fails, its locks are gone before anybody tries again.
    async fn transact(
        &self,
        client: &Client,
        sends: &[&Outgoing],
        held: &mut HashSet<i64>,
    ) -> Result<Vec<Outcome>> {
        match self.place(client, sends, held).await {
            Ok((outcomes, wakes)) => {
                if wakes.stored {
                    self.push.notify_one();
                    self.index.notify_one();
                }
                if wakes.told {
                    self.events.notify_one();
                }
                let forgotten = || Outcome::Done(Err(Error::internal("a send was forgotten")));
                Ok(outcomes.into_iter().map(|o| o.unwrap_or_else(forgotten)).collect())
            }
            Err(e) => {
                // Its own failure says nothing that `e` does not: then the connection is lost.
                let _ = client.batch_execute("ROLLBACK").await;
                Err(e)
            }
        }
    }

    /// Several statements: lock, decide on a fresh snapshot, store. Three round trips, as BEGIN
    /// and COMMIT wait for nobody: on a busy machine each costs a turn of everybody's.
    async fn place(
        &self,
        client: &Client,
        sends: &[&Outgoing],
        held: &mut HashSet<i64>,
    ) -> Result<(Vec<Option<Outcome>>, Wakes)> {
        let channels: HashSet<i64> =
            sends.iter().map(|s| s.channel_id).filter(|c| !held.contains(c)).collect();
        let channels: Vec<i64> = channels.into_iter().collect();
        let statement = client.prepare_cached(sql!("message/lock_channels")).await?;
        let lock: [&(dyn ToSql + Sync); 1] = [&channels];
        let (begin, lock) = (client.batch_execute("BEGIN"), client.query(&statement, &lock));
        let ((), locked) = try_join(begin, lock).await?;
        let locked: HashSet<i64> = locked.into_iter().map(|row| row.get(0)).collect();
        // An unknown channel locks nothing, so only a look without a lock tells it from a held one.
        if locked.len() < channels.len() {
            let statement = client.prepare_cached(sql!("message/existing_channels")).await?;
            let existing = client.query(&statement, &[&channels]).await?;
            held.extend(existing.iter().map(|row| row.get::<_, i64>(0)).filter(|c| !locked.contains(c)));
        }
        let mut outcomes: Vec<Option<Outcome>> =
            sends.iter().map(|s| held.contains(&s.channel_id).then_some(Outcome::Locked)).collect();
        let admitted = self.admit(client, sends, &locked, &mut outcomes).await?;
        let admitted_ones: HashSet<usize> = admitted.iter().map(|&(index, _)| index).collect();
        let repeated: Vec<usize> =
            (0..sends.len()).filter(|i| outcomes[*i].is_none() && !admitted_ones.contains(i)).collect();
        let statements = (
            client.prepare_cached(sql!("message/store")).await?,
            client.prepare_cached(sql!("message/repeated")).await?,
        );
        // Sent one behind the other: what is repeated may be stored by this very batch.
        let (stored, repeats, ()) = try_join3(
            self.keep(client, &statements.0, sends, &admitted),
            repeats(client, &statements.1, sends, &repeated),
            async { Ok(client.batch_execute("COMMIT").await?) },
        )
        .await?;
        let wakes = Wakes { stored: !stored.is_empty(), told: stored.iter().any(|kept| kept.told) };
        for Kept { index, sent, .. } in stored {
            outcomes[index] = Some(Outcome::Done(Ok(sent)));
        }
        for (index, result) in repeats {
            outcomes[index] = Some(Outcome::Done(result));
        }
        Ok((outcomes, wakes))
    }

    /// Decides every send that is not locked out. Returns the admitted ones, `(index, ms_id)`.
    async fn admit(
        &self,
        client: &Client,
        sends: &[&Outgoing],
        locked: &HashSet<i64>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Vec<(usize, i64)>> {
        let open: Vec<usize> = (0..sends.len()).filter(|&i| outcomes[i].is_none()).collect();
        // A channel that is not locked is none, also one that has come about since.
        let channel =
            |i: &usize| Some(sends[*i].channel_id).filter(|c| locked.contains(c)).unwrap_or(NO_CHANNEL);
        let channels: Vec<i64> = open.iter().map(channel).collect();
        let senders: Vec<&str> = open.iter().map(|&i| sends[i].sender.as_str()).collect();
        let client_ids: Vec<&str> = open.iter().map(|&i| sends[i].client_id.as_str()).collect();
        let digests: Vec<&[u8]> = open.iter().map(|&i| sends[i].digest.as_slice()).collect();
        let statement = client.prepare_cached(sql!("message/admit")).await?;
        let rows = client.query(&statement, &[&channels, &senders, &client_ids, &digests]).await?;
        let mut admitted = Vec::new();
        for row in rows {
            let index = open[row.get::<_, i64>("ord") as usize - 1];
            match row.get("outcome") {
                "admitted" => admitted.push((index, row.get("ms_id"))),
                // Answered last: what it repeats may be stored by this very batch.
                "repeated" => {}
                refusal => outcomes[index] = Some(Outcome::Done(Err(refused(refusal)))),
            }
        }
        Ok(admitted)
    }

    /// Stores the admitted sends.
    async fn keep(
        &self,
        client: &Client,
        statement: &Statement,
        sends: &[&Outgoing],
        admitted: &[(usize, i64)],
    ) -> Result<Vec<Kept>> {
        if admitted.is_empty() {
            return Ok(Vec::new());
        }
        let of = |i: usize| sends[admitted[i].0];
        let all = 0..admitted.len();
        let ms_ids: Vec<i64> = admitted.iter().map(|(_, ms_id)| *ms_id).collect();
        let channels: Vec<i64> = all.clone().map(|i| of(i).channel_id).collect();
        let senders: Vec<&str> = all.clone().map(|i| of(i).sender.as_str()).collect();
        let types: Vec<&str> = all.clone().map(|i| of(i).ms_type).collect();
        let contents: Vec<Json<&Value>> = all.clone().map(|i| Json(&of(i).content)).collect();
        let previews: Vec<Json<&Value>> = all.map(|i| Json(&of(i).preview)).collect();
        let parameters: [&(dyn ToSql + Sync); 8] = [
            &ms_ids,
            &channels,
            &senders,
            &types,
            &contents,
            &previews,
            &self.batch_pairs,
            &self.batch_bytes,
        ];
        let rows = client.query(statement, &parameters).await?;
        let index_of: HashMap<i64, usize> = admitted.iter().map(|&(index, ms_id)| (ms_id, index)).collect();
        let stored = |row: &Row| {
            let sent = Sent {
                ms_id: row.get("ms_id"),
                seq: row.get("seq"),
                server_time: row.get("server_time"),
                repeated: false,
            };
            Kept { index: index_of[&sent.ms_id], told: row.get("told"), sent }
        };
        Ok(rows.iter().map(stored).collect())
    }
}

/// Answers repeats with what the first send stored, or refuses another body.
async fn repeats(
    client: &Client,
    statement: &Statement,
    sends: &[&Outgoing],
    repeated: &[usize],
) -> Result<Vec<(usize, Result<Sent>)>> {
    if repeated.is_empty() {
        return Ok(Vec::new());
    }
    let senders: Vec<&str> = repeated.iter().map(|&i| sends[i].sender.as_str()).collect();
    let client_ids: Vec<&str> = repeated.iter().map(|&i| sends[i].client_id.as_str()).collect();
    let answer = |row: &Row| {
        let index = repeated[row.get::<_, i64>("ord") as usize - 1];
        let same = row.get::<_, &[u8]>("digest") == sends[index].digest;
        let sent = Sent {
            ms_id: row.get("ms_id"),
            seq: row.get("seq"),
            server_time: row.get("server_time"),
            // A repeat of ours, after an unclear commit, is the caller's first.
            repeated: !sends[index].has_inner_id(),
        };
        let other_body = || Error::new(Kind::ClientIdReused, "this client id was used with another body");
        (index, if same { Ok(sent) } else { Err(other_body()) })
    };
    let rows = client.query(statement, &[&senders, &client_ids]).await?;
    Ok(rows.iter().map(answer).collect())
}

/// A stored send: its place in the batch, and whether an observer or a stream wants to be told.
struct Kept {
    index: usize,
    sent: Sent,
    told: bool,
}

struct Wakes {
    stored: bool,
    told: bool,
}

fn refused(outcome: &str) -> Error {
    match outcome {
        "unknown_user" => Error::new(Kind::UnknownUser, ""),
        "dissolved" => Error::new(Kind::ChannelDissolved, ""),
        _ => Error::not_found("no such channel"),
    }
}

/// A row that no partition takes is a check violation without a constraint's name.
fn is_missing_partition(e: &Error) -> bool {
    e.database().is_some_and(|db| *db.code() == SqlState::CHECK_VIOLATION && db.constraint().is_none())
}
