//! Group commit: sends that arrive while a commit runs share the next one. There is no timer, so an idle
//! service adds no latency. Every caller is answered after the commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Client;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture, try_join, try_join3, try_join4};
use postgres_types::{Json, ToSql};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::mention::Mentioned;
use super::outgoing::{Outgoing, Sent};
use super::urgency::Note;
use crate::base::config::{Config, WhoMentions};
use crate::base::error::{Error, Kind, Result};
use crate::base::extra::Extra;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::Store;
use crate::sql;

/// Pause before a retry after contention, without a database, or if all channels of a batch were locked.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest duration of a group's transaction, including waits for locks.
const COMMIT_MAX: Duration = Duration::from_secs(10);

struct Waiting {
    send: Outgoing,
    since: Instant,
    reply: oneshot::Sender<Result<Sent>>,
}

/// The entry for sends. Cheap to clone. All sends of a channel use the same lane, so they keep their order of
/// arrival.
#[derive(Clone)]
pub struct Sender {
    lanes: Arc<[mpsc::Sender<Waiting>]>,
}

/// The store of the lanes, and the workers that a commit wakes.
pub struct Lanes {
    pub store: Store,
    pub push: Arc<Notify>,
    pub index: Arc<Notify>,
    pub events: Arc<Notify>,
}

impl Sender {
    /// Opens the lanes. Each is a task for `spawn`. It ends when every `Sender` is dropped and its queue is
    /// empty.
    pub fn open(config: &Config, lanes: Lanes, spawn: impl Fn(BoxFuture<'static, ()>)) -> Self {
        let Lanes { store, push, index, events } = lanes;
        let open_lane = |_| {
            let (entry, queue) = mpsc::channel(config.chat.send_queue);
            let lane = Lane {
                store: store.clone(),
                push: push.clone(),
                index: index.clone(),
                events: events.clone(),
                batch: config.chat.send_batch,
                queue: config.chat.send_queue,
                batch_pairs: i32::try_from(config.callbacks.batch_pairs).unwrap_or(i32::MAX),
                batch_bytes: i32::try_from(config.callbacks.batch_bytes).unwrap_or(i32::MAX),
                partitions_by_month: config.partitions_by_month(),
                only_admins_mention_all: config.chat.mention_all == WhoMentions::Admins,
                patience: config.server.request_timeout,
            };
            spawn(Box::pin(lane.run(queue)));
            entry
        };
        Self { lanes: (0..config.chat.send_lanes).map(open_lane).collect() }
    }

    /// Sends one message. Returns after it is committed or refused.
    pub async fn send(&self, send: Outgoing) -> Result<Sent> {
        self.enter(send)?.await.map_err(|_| Error::unavailable("the service is stopping"))?
    }

    /// Sends many messages. Returns one result for each, in order. A refused send does not affect the others.
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
        let lane = &self.lanes[send.channel_id.0.unsigned_abs() as usize % self.lanes.len()];
        lane.try_send(Waiting { send, since: Instant::now(), reply }).map_err(|_| {
            Error::unavailable("too many sends are waiting: repeat the send later with the same client_id")
        })?;
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
    partitions_by_month: bool,
    only_admins_mention_all: bool,
    patience: Duration,
}

/// The result of one send of a batch.
enum SendOutcome {
    Done(Result<Sent>),
    /// Another transaction holds the channel's lock. The send goes into the next batch.
    Locked,
}

impl Lane {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        // Channels that another transaction held during the last batch.
        let mut held: HashSet<ChannelId> = HashSet::new();
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
            // The sends that are left arrived before those that were not picked.
            waiting = left.into_iter().chain(rest).collect();
        }
    }

    /// Picks the next batch, in order. A channel that was held gets one send in it, and all such channels get
    /// at most half the batch. So a held channel does not delay other channels. A send is dropped without a
    /// try if it waited too long, or if its caller has gone.
    fn pick(&self, waiting: VecDeque<Waiting>, held: &HashSet<ChannelId>) -> (Vec<Waiting>, Vec<Waiting>) {
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        let mut tried = HashSet::new();
        for item in waiting {
            let channel = item.send.channel_id;
            let waits = batch.len() >= self.batch
                || held.contains(&channel) && (tried.len() > self.batch / 2 || !tried.insert(channel));
            if item.reply.is_closed() {
                continue;
            } else if item.since.elapsed() > self.patience {
                let _ = item.reply.send(Err(Error::unavailable(
                    "the channel is busy: repeat the send later with the same client_id",
                )));
            } else if waits {
                rest.push(item);
            } else {
                batch.push(item);
            }
        }
        (batch, rest)
    }

    /// Commits a batch and answers its callers. Returns the sends whose channel was locked.
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
                SendOutcome::Locked => left.push(waiting),
                SendOutcome::Done(result) => {
                    self.store.throttle().note(waiting.since.elapsed());
                    let label = if result.is_ok() { "accepted" } else { "refused" };
                    metrics::counter!("impg_sends_total", "result" => label).increment(1);
                    // The caller may have gone. The commit stands.
                    let _ = waiting.reply.send(result);
                }
            }
        }
        left
    }

    /// Commits, and retries after contention, a missing partition or a commit without an answer. In the last
    /// case the client ids show what was stored. A send that fails by itself is found by bisection.
    async fn commit_all(&self, sends: &[&Outgoing], deadline: Instant) -> Vec<SendOutcome> {
        let mut parts = vec![sends];
        let mut outcomes = Vec::with_capacity(sends.len());
        // A channel that is held stays out of the whole batch, so that its later sends do not overtake.
        let mut held = HashSet::new();
        let mut reconnected = false;
        while let Some(part) = parts.pop() {
            match self.commit(part, &mut held).await {
                Ok(done) => outcomes.extend(done),
                // After a switchover a new connection finds the primary. If the second one fails too, give up.
                Err(e) if e.needs_reconnect() && std::mem::replace(&mut reconnected, true) => {
                    let refused = |_: &_| SendOutcome::Done(Err(Error::new(e.kind, e.detail.clone())));
                    outcomes.extend(part.iter().map(refused));
                }
                Err(e) if Instant::now() > deadline => {
                    if !e.is_database_away() {
                        tracing::warn!(error = %e, sends = part.len(), "sends were not committed in time");
                    }
                    let late = || {
                        Error::unavailable(
                            "the database did not commit in time: repeat the send with the same client_id",
                        )
                    };
                    outcomes.extend(part.iter().map(|_| SendOutcome::Done(Err(late()))));
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
                Err(e) if part.len() == 1 => outcomes.push(SendOutcome::Done(Err(e))),
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        outcomes
    }

    /// Makes the partitions of today and tomorrow, and of channels whose ids are ahead of the clock. Uses its
    /// own connection.
    async fn make_missing_partitions(&self, sends: &[&Outgoing]) -> Result<()> {
        let client = self.store.client().await?;
        let channels: Vec<ChannelId> = sends.iter().map(|s| s.channel_id).collect();
        let statement = client.prepare_cached(sql!("chat/message/make_missing_partitions")).await?;
        client.execute(&statement, &[&channels, &self.partitions_by_month]).await?;
        Ok(())
    }

    /// Runs one transaction, with a time limit. A connection that does not answer in time is dropped. Its commit
    /// may have succeeded; the client ids show it.
    async fn commit(&self, sends: &[&Outgoing], held: &mut HashSet<ChannelId>) -> Result<Vec<SendOutcome>> {
        let client = self.store.client().await?;
        match tokio::time::timeout(COMMIT_MAX, self.transact(&client, sends, held)).await {
            Ok(done) => done,
            Err(_) => {
                drop(Client::take(client));
                Err(Error::unavailable("the database does not answer"))
            }
        }
    }

    /// Runs one transaction. After a failure its locks are released before a retry.
    async fn transact(
        &self,
        client: &Client,
        sends: &[&Outgoing],
        held: &mut HashSet<ChannelId>,
    ) -> Result<Vec<SendOutcome>> {
        match self.execute_batch(client, sends, held).await {
            Ok(outcomes) => {
                let forgotten = || SendOutcome::Done(Err(Error::internal("no result for a send")));
                Ok(outcomes.into_iter().map(|o| o.unwrap_or_else(forgotten)).collect())
            }
            Err(e) => {
                // A rollback fails only if the connection is lost. Then `e` says so already.
                let _ = client.batch_execute("ROLLBACK").await;
                Err(e)
            }
        }
    }

    /// Locks, decides and stores. Each statement has its own snapshot. All are sent together, so a commit is one
    /// round trip: a statement passes its result to the next one inside the transaction.
    async fn execute_batch(
        &self,
        client: &Client,
        sends: &[&Outgoing],
        held: &mut HashSet<ChannelId>,
    ) -> Result<Vec<Option<SendOutcome>>> {
        let open: Vec<usize> = (0..sends.len()).filter(|&i| !held.contains(&sends[i].channel_id)).collect();
        let of = || open.iter().map(|&i| sends[i]);
        let columns = Columns::of(of());
        let (lock, admit, store) = (
            client.prepare_cached(sql!("chat/message/lock_channels")).await?,
            client.prepare_cached(sql!("chat/message/admit")).await?,
            client.prepare_cached(sql!("chat/message/store")).await?,
        );
        let (to_lock, to_admit) = (columns.to_lock(), columns.to_admit());
        let bounds = (self.batch_pairs, self.batch_bytes);
        let to_store = columns.to_store(&bounds);
        let note = Note::prepare(client, of().map(|send| &send.urgency)).await?;
        let mentioned = Mentioned::prepare(client, of(), self.only_admins_mention_all).await?;
        // The futures of a plain batch are ready at once, and send nothing.
        let checked = OptionFuture::from(mentioned.as_ref().map(|mentioned| mentioned.check(client)));
        let noted = OptionFuture::from(note.as_ref().map(|note| note.write(client)));
        let kept = OptionFuture::from(mentioned.as_ref().map(|mentioned| mentioned.write(client)));
        // If one fails, those after it fail too. The first error is the cause.
        let decided = try_join4(
            client.batch_execute("BEGIN"),
            client.execute(&lock, &to_lock),
            checked.map(Option::transpose),
            client.query(&admit, &to_admit),
        );
        let stored = try_join3(
            client.query(&store, &to_store),
            noted.map(Option::transpose),
            kept.map(Option::transpose),
        );
        let (((_, _, checked, admitted), (stored, ..)), ()) =
            try_join(try_join(decided, stored), client.batch_execute("COMMIT")).await?;
        self.wake(&stored);
        let stored: HashMap<MsId, &Row> = stored.iter().map(|row| (row.get("ms_id"), row)).collect();
        let mut outcomes: Vec<Option<SendOutcome>> =
            sends.iter().map(|s| held.contains(&s.channel_id).then_some(SendOutcome::Locked)).collect();
        let mut repeated = Vec::new();
        for row in &admitted {
            let place: i64 = row.get("ord");
            let index = open[place as usize - 1];
            outcomes[index] = match row.get("outcome") {
                "admitted" => {
                    stored.get(&row.get("ms_id")).map(|row| SendOutcome::Done(Ok(sent(row, false))))
                }
                "repeated" => {
                    repeated.push(index);
                    None
                }
                "locked" => {
                    held.insert(sends[index].channel_id);
                    Some(SendOutcome::Locked)
                }
                "refused" => {
                    let checked = checked.as_deref().unwrap_or_default();
                    mentioned.as_ref().map(|m| SendOutcome::Done(Err(m.refusal(checked, place))))
                }
                refusal => Some(SendOutcome::Done(Err(refused(refusal)))),
            };
        }
        for (index, result) in repeats(client, sends, &repeated).await? {
            outcomes[index] = Some(SendOutcome::Done(result));
        }
        Ok(outcomes)
    }

    /// Wakes the workers that a commit gives something to do.
    fn wake(&self, stored: &[Row]) {
        if !stored.is_empty() {
            self.push.notify_one();
            self.index.notify_one();
        }
        if stored.iter().any(|row| row.get("told")) {
            self.events.notify_one();
        }
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The sends of a batch, as the statements take them: one element for each send.
struct Columns<'a> {
    channels: Vec<ChannelId>,
    senders: Vec<&'a str>,
    client_ids: Vec<&'a str>,
    digests: Vec<&'a [u8]>,
    types: Vec<&'a str>,
    contents: Vec<Json<&'a Value>>,
    shorts: Vec<Json<&'a Value>>,
    extras: Vec<Json<&'a Extra>>,
}

impl<'a> Columns<'a> {
    fn of(sends: impl Iterator<Item = &'a Outgoing> + Clone) -> Self {
        let of = || sends.clone();
        Self {
            channels: of().map(|send| send.channel_id).collect(),
            senders: of().map(|send| send.sender.as_str()).collect(),
            client_ids: of().map(|send| send.client_id.as_str()).collect(),
            digests: of().map(|send| send.digest.as_slice()).collect(),
            types: of().map(|send| send.ms_type).collect(),
            contents: of().map(|send| Json(&send.content)).collect(),
            shorts: of().map(|send| Json(&send.short)).collect(),
            extras: of().map(|send| Json(&send.extra)).collect(),
        }
    }

    fn to_lock(&self) -> [Parameter<'_>; 1] {
        [&self.channels]
    }

    fn to_admit(&self) -> [Parameter<'_>; 4] {
        [&self.channels, &self.senders, &self.client_ids, &self.digests]
    }

    fn to_store<'b>(&'b self, (pairs, bytes): &'b (i32, i32)) -> [Parameter<'b>; 8] {
        let Self { channels, senders, types, contents, shorts, extras, .. } = self;
        [channels, senders, types, contents, shorts, extras, pairs, bytes]
    }
}

fn sent(row: &Row, repeated: bool) -> Sent {
    Sent { ms_id: row.get("ms_id"), seq: row.get("seq"), server_time: row.get("server_time"), repeated }
}

/// Answers repeats with the message of the first send, which may be in the same batch. Refuses another body.
async fn repeats(
    client: &Client,
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
        // With a generated id the service itself repeated the send, so the caller sees a first send.
        let sent = sent(row, !sends[index].has_inner_id());
        let other_body = || {
            Error::new(Kind::ClientIdReused, "this client_id was used with another body: use a new client_id")
        };
        (index, if same { Ok(sent) } else { Err(other_body()) })
    };
    let statement = client.prepare_cached(sql!("chat/message/repeated")).await?;
    let rows = client.query(&statement, &[&senders, &client_ids]).await?;
    Ok(rows.iter().map(answer).collect())
}

fn refused(outcome: &str) -> Error {
    match outcome {
        "unknown_user" => Error::unknown_caller(),
        "dissolved" => Error::new(Kind::ChannelDissolved, ""),
        "only_admins" => Error::new(Kind::OnlyAdminsSend, ""),
        _ => Error::not_found("no such channel"),
    }
}

/// PostgreSQL reports a missing partition as a check violation without a constraint's name.
fn is_missing_partition(e: &Error) -> bool {
    e.database().is_some_and(|db| *db.code() == SqlState::CHECK_VIOLATION && db.constraint().is_none())
}
