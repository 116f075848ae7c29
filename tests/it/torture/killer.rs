//! SIGKILL, at random moments and at chosen ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::history::{Attempt, Evidence, Moment, SendAnswer};
use super::world::{REPLICAS, World};
use crate::support::sandbox::signal;
use crate::support::{Gate, Service};

/// The run fails unless at least this many kills cut a send, a batch in flight, and the push of
/// a large message between two stretches of its receivers.
pub const CUT_SENDS: usize = 10;
pub const CUT_BATCHES: usize = 5;
pub const CUT_STRETCHES: usize = 1;
/// Most kills of a run, and how long it may go on to reach those numbers.
const KILLS_MAX: usize = 1_000;
const OVERTIME: Duration = Duration::from_secs(60);
/// How long a chosen moment is waited for.
const MOMENT: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(1);
/// Longer than a lease.
const PAUSE: Duration = Duration::from_millis(3_000);
/// How far the database's clock may be off when it comes back.
const CLOCK_STEP_MS: usize = 1_500;

/// Who is killed, or worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Replica(usize),
    Replicas,
    /// Comes back with its clock somewhere else.
    Postgres,
    /// Not killed but stopped, until after its leases have run out.
    Paused(usize),
}

#[derive(Debug, Clone)]
pub struct Kill {
    pub victim: Victim,
    /// Everything ran until `from`, the victim was gone at `to`.
    pub from: Moment,
    pub to: Moment,
    /// When all was up again.
    pub up: Moment,
    /// The batch that was in flight at the gateway.
    pub batch_id: Option<String>,
    /// The push of a large message was seen cut between two stretches, in the database, with no replica left to go on.
    pub mid_message: bool,
}

impl Kill {
    /// The batch in flight that it cut, if it was to.
    pub fn cut_batch(&self) -> Option<&String> {
        self.batch_id.as_ref().filter(|_| !matches!(self.victim, Victim::Paused(_)))
    }
}

/// What a kill waits for.
#[derive(Clone, Copy)]
enum Aim {
    Anytime,
    Send,
    Batch,
    Stretches,
}

/// One round: every victim at every moment that it can be killed at.
const ROUND: &[(Aim, Victim)] = &[
    (Aim::Send, Victim::Replica(0)),
    (Aim::Batch, Victim::Replica(1)),
    (Aim::Send, Victim::Postgres),
    (Aim::Stretches, Victim::Replicas),
    (Aim::Batch, Victim::Replica(0)),
    (Aim::Anytime, Victim::Replica(1)),
    (Aim::Batch, Victim::Paused(1)),
    (Aim::Stretches, Victim::Postgres),
    (Aim::Batch, Victim::Postgres),
    (Aim::Send, Victim::Replica(1)),
    (Aim::Anytime, Victim::Postgres),
    (Aim::Send, Victim::Replicas),
    (Aim::Anytime, Victim::Paused(0)),
];

pub struct Killer {
    world: Arc<World>,
    services: Vec<Service>,
    dice: Dice,
    kills: Vec<Kill>,
}

impl Killer {
    pub fn new(world: Arc<World>, services: Vec<Service>, dice: Dice) -> Self {
        Self { world, services, dice, kills: Vec::new() }
    }

    /// Kills for `time`, and longer if that was too short for the numbers that are asked for.
    pub async fn run(mut self, time: Duration) -> (Vec<Kill>, Vec<Service>) {
        let started = Instant::now();
        for (aim, victim) in ROUND.iter().cycle().take(KILLS_MAX) {
            let late = started.elapsed() > time;
            if late && (self.is_enough() || started.elapsed() > time + OVERTIME) {
                break;
            }
            tokio::time::sleep(self.dice.pause(100, 900)).await;
            if let Some(kill) = self.round(*aim, *victim).await {
                self.kills.push(kill);
            }
        }
        (self.kills, self.services)
    }

    fn is_enough(&self) -> bool {
        let sends = self.world.recorder.read(|evidence| cut_sends(evidence, &self.kills));
        let batches = self.kills.iter().filter(|kill| kill.cut_batch().is_some()).count();
        let messages = self.kills.iter().filter(|kill| kill.mid_message).count();
        sends >= CUT_SENDS && batches >= CUT_BATCHES && messages >= CUT_STRETCHES
    }

    /// Waits for the moment, kills, looks, and brings everything up again.
    async fn round(&mut self, aim: Aim, victim: Victim) -> Option<Kill> {
        let gate = Gate::closed();
        let mut batch_id = None;
        match aim {
            Aim::Anytime => {}
            Aim::Send => self.a_send(victim).await?,
            Aim::Batch => batch_id = Some(self.a_batch(victim, &gate).await?),
            Aim::Stretches => self.a_stretch().await?,
        }
        if victim == Victim::Postgres {
            let offset_ms = self.dice.below(2 * CLOCK_STEP_MS) as i64 - CLOCK_STEP_MS as i64;
            self.world.move_clock(offset_ms).await;
        }
        let from = self.world.recorder.now();
        tokio::task::block_in_place(|| self.kill(victim));
        let to = self.world.recorder.now();
        let mid_message = victim == Victim::Replicas && self.is_message_cut().await;
        gate.open();
        self.world.moods.release();
        tokio::time::sleep(self.dice.pause(0, 300)).await;
        self.revive(victim).await;
        Some(Kill { victim, from, to, up: self.world.recorder.now(), batch_id, mid_message })
    }

    fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Replica(replica) => self.services[replica].kill9(),
            Victim::Replicas => self.services.iter_mut().for_each(Service::kill9),
            Victim::Postgres => self.world.cluster.kill9(),
            Victim::Paused(replica) => self.signal("STOP", replica),
        }
    }

    async fn revive(&mut self, victim: Victim) {
        match victim {
            Victim::Replica(replica) => self.services[replica].restart().await,
            Victim::Replicas => {
                for service in &mut self.services {
                    service.restart().await;
                }
            }
            Victim::Postgres => self.world.cluster.restart().await,
            Victim::Paused(replica) => {
                tokio::time::sleep(PAUSE).await;
                self.signal("CONT", replica);
            }
        }
    }

    fn signal(&self, name: &str, replica: usize) {
        signal(name, &[self.services[replica].pid().expect("a service that runs")]);
    }

    async fn a_send(&self, victim: Victim) -> Option<()> {
        let under_way = || {
            let of = |replica: usize| self.world.in_flight[replica].load(Ordering::Relaxed) > 0;
            match victim {
                Victim::Replica(replica) | Victim::Paused(replica) => of(replica),
                Victim::Replicas | Victim::Postgres => (0..REPLICAS).any(of),
            }
        };
        self.until(|| under_way().then_some(())).await
    }

    async fn a_batch(&mut self, victim: Victim, gate: &Gate) -> Option<String> {
        let replica = match victim {
            Victim::Replica(replica) | Victim::Paused(replica) => replica,
            Victim::Replicas | Victim::Postgres => self.dice.below(REPLICAS),
        };
        self.world.moods.hold(replica, gate);
        let held = self.until(|| self.world.moods.held()).await;
        if held.is_none() {
            self.world.moods.release();
            gate.open();
        }
        held
    }

    async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let started = Instant::now();
        while started.elapsed() < MOMENT {
            if let Some(seen) = look() {
                return Some(seen);
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    async fn a_stretch(&self) -> Option<()> {
        let sql = self.world.sql().await;
        let started = Instant::now();
        while started.elapsed() < MOMENT {
            if is_cut(&sql).await {
                return Some(());
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    /// Nobody runs who could go on with it: what the killed ones had begun ends first.
    async fn is_message_cut(&self) -> bool {
        let sql = self.world.sql().await;
        let others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'im-push-gateway'";
        let started = Instant::now();
        while started.elapsed() < MOMENT {
            let left: i64 = sql.query_one(others, &[]).await.expect("PostgreSQL runs").get(0);
            if left == 0 {
                return is_cut(&sql).await;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }
}

async fn is_cut(sql: &tokio_postgres::Client) -> bool {
    let cut = "SELECT EXISTS (SELECT FROM v_im_push_item q WHERE from_slot > 0 AND in_turn AND NOT EXISTS \
               (SELECT FROM v_im_push_item WHERE channel_id = q.channel_id AND from_seq = q.from_seq AND from_slot = 0))";
    sql.query_one(cut, &[]).await.expect("PostgreSQL runs").get(0)
}

/// How many kills cut a send. One of the replica: its caller got no clear answer. One of
/// PostgreSQL: it was asked before and answered after, however that went.
pub fn cut_sends(evidence: &Evidence, kills: &[Kill]) -> usize {
    let attempts: Vec<&Attempt> = evidence.sends.iter().flat_map(|send| &send.attempts).collect();
    let cut = |kill: &&Kill| {
        attempts.iter().any(|attempt| {
            let unclear = attempt.answer == SendAnswer::Unclear;
            let spans = attempt.from < kill.from && attempt.to > kill.from;
            match kill.victim {
                Victim::Replica(replica) => spans && unclear && attempt.replica == replica,
                Victim::Replicas => spans && unclear,
                Victim::Postgres => attempt.from < kill.from && attempt.to > kill.to,
                Victim::Paused(_) => false,
            }
        })
    };
    kills.iter().filter(cut).count()
}
