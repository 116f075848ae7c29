//! Group commit: sends that arrive while a commit runs share the next one. There is no timer, so an idle
//! service adds no latency. Every caller is answered after the commit.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Client;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batches, Bounds, FindingOut, Lanes, SendOutcome, is_missing_partition};
use super::outgoing::{Outgoing, Sent};
use crate::base::config::Config;
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::base::trace::{Link, Span};

/// Pause before a retry after contention, without a database, or if all channels of a batch were locked.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest duration of a group's transaction, including waits for locks.
const COMMIT_MAX: Duration = Duration::from_secs(10);
/// Senders who wait to learn that a friendship has ended. Beyond it, the next message of a sender finds it out.
const FINDING_OUT_MAX: usize = 1_024;

struct Waiting {
    send: Outgoing,
    since: Instant,
    /// The request that sends, if its trace is recorded.
    link: Option<Link>,
    reply: oneshot::Sender<Result<Sent>>,
}

/// The entry for sends. Cheap to clone. All sends of a channel use the same lane, so they keep their order of
/// arrival.
#[derive(Clone)]
pub struct Sender {
    lanes: Arc<[mpsc::Sender<Waiting>]>,
}

impl Sender {
    /// Opens the lanes. Each is a task for `spawn`. It ends when every `Sender` is dropped and its queue is
    /// empty. One more task lets senders find out that a friendship has ended; it ends after the lanes.
    pub fn open(config: &Config, lanes: Lanes, spawn: impl Fn(BoxFuture<'static, ()>)) -> Self {
        let batches = Batches::new(config, lanes);
        let (finding_out, found) = mpsc::channel(FINDING_OUT_MAX);
        spawn(Box::pin(batches.clone().find_out(found)));
        let open_lane = |_| {
            let (entry, queue) = mpsc::channel(config.chat.send_queue);
            let lane = Lane {
                batches: batches.clone(),
                batch: config.chat.send_batch,
                queue: config.chat.send_queue,
                patience: config.server.request_timeout,
                finding_out: finding_out.clone(),
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
        let link = Link::to_current();
        lane.try_send(Waiting { send, since: Instant::now(), link, reply }).map_err(|_| {
            Error::unavailable("too many sends are waiting: repeat the send later with the same client_id")
        })?;
        Ok(answer)
    }
}

/// What the transactions of a batch of a lane have in common.
struct Course<'a> {
    /// Channels that another transaction holds.
    held: HashSet<ChannelId>,
    /// The senders who have just talked to a user who is no friend any more.
    finding_out: &'a mut Vec<FindingOut>,
}

/// A commit holds the sends of many requests, so none of them is its parent.
fn commit_span(batch: &[Waiting]) -> Option<Span> {
    let mut span = Span::of_all("commit sends", batch.iter().filter_map(|waiting| waiting.link).collect())?;
    span.number("impg.sends", batch.len());
    Some(span)
}

struct Lane {
    batches: Batches,
    batch: usize,
    queue: usize,
    patience: Duration,
    finding_out: mpsc::Sender<FindingOut>,
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
            let left = self.commit_batch(batch).await;
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
    async fn commit_batch(&self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let deadline = Instant::now() + self.patience;
        let sends: Vec<&Outgoing> = batch.iter().map(|w| &w.send).collect();
        let span = commit_span(&batch);
        let started = Instant::now();
        let mut finding_out = Vec::new();
        let outcomes = self.commit_all(&sends, deadline, &mut finding_out).await;
        drop(span);
        metrics::histogram!("impg_send_commit_seconds").record(started.elapsed());
        metrics::histogram!("impg_send_batch_size").record(batch.len() as f64);
        let mut left = Vec::new();
        for (waiting, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                SendOutcome::Locked => left.push(waiting),
                SendOutcome::Done(result) => {
                    self.batches.store.throttle().note(waiting.since.elapsed());
                    let label = if result.is_ok() { "accepted" } else { "refused" };
                    metrics::counter!("impg_sends_total", "result" => label).increment(1);
                    // The caller may have gone. The commit stands.
                    let _ = waiting.reply.send(result);
                }
            }
        }
        for found in finding_out {
            // The callers do not wait for it. If there is no room, their next message finds it out.
            let _ = self.finding_out.try_send(found);
        }
        left
    }

    /// Commits, and retries after contention, a missing partition or a commit without an answer. In the last
    /// case the client ids show what was stored. A send that fails by itself is found by bisection.
    async fn commit_all(
        &self,
        sends: &[&Outgoing],
        deadline: Instant,
        finding_out: &mut Vec<FindingOut>,
    ) -> Vec<SendOutcome> {
        let mut parts = vec![sends];
        let mut outcomes = Vec::with_capacity(sends.len());
        // A channel that is held stays out of the whole batch, so that its later sends do not overtake.
        let mut course = Course { held: HashSet::new(), finding_out };
        let mut reconnected = false;
        while let Some(part) = parts.pop() {
            match self.commit(part, &mut course).await {
                Ok(done) => outcomes.extend(done),
                // After a switchover a new connection finds the primary. If the second one fails too, give up. A full disk
                // stays full for longer than a caller waits, and requests that wait for it would take the place of reads.
                Err(e)
                    if e.is_disk_full()
                        || e.needs_reconnect() && std::mem::replace(&mut reconnected, true) =>
                {
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
                    let channels: Vec<ChannelId> = part.iter().map(|send| send.channel_id).collect();
                    if let Err(e) = self.batches.make_missing_partitions(&channels).await {
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

    /// Runs one transaction, with a time limit. A connection that does not answer in time is dropped. Its commit
    /// may have succeeded; the client ids show it.
    async fn commit(&self, sends: &[&Outgoing], course: &mut Course<'_>) -> Result<Vec<SendOutcome>> {
        let client = self.batches.store.client().await?;
        match tokio::time::timeout(COMMIT_MAX, self.transact(&client, sends, course)).await {
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
        course: &mut Course<'_>,
    ) -> Result<Vec<SendOutcome>> {
        match self.execute_batch(client, sends, course).await {
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

    /// Stores the sends whose channel is not held.
    async fn execute_batch(
        &self,
        client: &Client,
        sends: &[&Outgoing],
        course: &mut Course<'_>,
    ) -> Result<Vec<Option<SendOutcome>>> {
        let open: Vec<usize> =
            (0..sends.len()).filter(|&i| !course.held.contains(&sends[i].channel_id)).collect();
        let given: Vec<&Outgoing> = open.iter().map(|&i| sends[i]).collect();
        let mut batch = self.batches.store(client, &given, Bounds::Alone).await?;
        self.batches.wake(&batch);
        course.finding_out.extend(batch.take_finding_out());
        let mut outcomes: Vec<Option<SendOutcome>> = sends
            .iter()
            .map(|s| course.held.contains(&s.channel_id).then_some(SendOutcome::Locked))
            .collect();
        for (index, outcome) in open.into_iter().zip(batch.outcomes) {
            if matches!(outcome, Some(SendOutcome::Locked)) {
                course.held.insert(sends[index].channel_id);
            }
            outcomes[index] = outcome;
        }
        Ok(outcomes)
    }
}
