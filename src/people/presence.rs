//! Presence: who is online. A user is online while any gateway instance holds a connection of theirs. The
//! instances report it.
//!
//! Every report is a sign of life of its instance. An instance that is silent for too long counts as gone,
//! and its users go offline. Presence does not depend on messages: a push goes to every receiver, and its
//! answer says who was online.

mod sockets;

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::status::UserStatus;
use crate::base::config::PeopleSettings;
use crate::base::error::Result;
use crate::base::named::named;
use crate::base::store::{REPEATABLE, Statements, Store, retrying};
use crate::base::worker::{Tick, Work};
use crate::sql;
pub use sockets::{OpenSocket, Sockets};

/// Most unknown users that an answer names.
const UNKNOWN_NAMED: usize = 100;
/// Most users released in one transaction.
const SWEEP_STEP: i64 = 1_000;
/// Most users in one event.
const EVENT_PEOPLE: i64 = 1_000;
/// The request that completes a snapshot applies it. Another replica continues after this time.
const SWEEP_ALONE: Duration = Duration::seconds(30);
/// Most instances checked in one tick.
const GATEWAYS_STEP: i64 = 100;

/// Presence of one replica. Every replica may run it at once.
#[derive(Clone)]
pub struct Presence {
    store: Store,
    expire: Duration,
}

/// A report of a gateway instance.
#[derive(Debug)]
pub struct Report {
    /// The instance. Each replica of a gateway has its own name.
    pub gateway: String,
    /// Whether each user is online at this instance.
    pub people: BTreeMap<String, bool>,
    pub snapshot: Option<Snapshot>,
}

/// Marks a report that, with its other parts, names all users of the instance.
#[derive(Debug)]
pub struct Snapshot {
    /// Connects the parts; `None` for a snapshot of one part.
    pub id: Option<String>,
    /// Whether another part follows.
    pub more: bool,
}

/// The result of a report.
#[derive(Debug, Default)]
pub struct ReportOutcome {
    /// Users that the report names as online.
    pub online: usize,
    /// Users that the report names as offline, and users that its snapshot omits.
    pub offline: usize,
    /// Users whose status has changed.
    pub changed: usize,
    /// Users who are not in the directory or have left; at most one page of them.
    pub unknown: Vec<String>,
    pub unknown_count: usize,
    /// Whether the service may not know all users of the instance: it is new or was silent for too long.
    pub snapshot_wanted: bool,
}

named! {
    /// Whether an instance of the gateway has a connection of a user.
    pub enum OnlineStatus ("status of a user") {
        Online = "online",
        Offline = "offline",
    }
}

/// The status of a user, and since when.
#[derive(Debug)]
pub struct Status {
    pub user_id: String,
    pub status: OnlineStatus,
    /// `None`: the user has never been online.
    pub since: Option<OffsetDateTime>,
    /// What the user says of themselves.
    pub says: Option<UserStatus>,
}

impl Status {
    pub fn is_online(&self) -> bool {
        self.status == OnlineStatus::Online
    }
}

/// The changes of an instance's users by one report.
#[derive(Debug, Default)]
struct Changes {
    added: Vec<String>,
    released: Vec<String>,
    kept: Vec<String>,
}

#[derive(Debug, Default)]
struct Swept {
    people: usize,
    changed: usize,
    /// Whether the instance was silent for too long.
    silent: bool,
    /// The last user of this step, if another step follows.
    after: Option<String>,
}

impl Presence {
    pub fn new(store: Store, settings: &PeopleSettings) -> Self {
        let expire = settings.presence_expire.try_into().unwrap_or(Duration::MAX);
        Self { store, expire }
    }

    /// Applies a report. Users that a snapshot omits are released before this returns, in short separate
    /// steps. If that is interrupted, [`Self::tick`] continues it.
    pub async fn report(&self, report: &Report, now: OffsetDateTime) -> Result<ReportOutcome> {
        let mut outcome = retrying(|| self.take(report, now)).await?;
        if report.snapshot.as_ref().is_some_and(|snapshot| !snapshot.more) {
            let swept = self.sweep(&report.gateway, now).await?;
            outcome.offline += swept.people;
            outcome.changed += swept.changed;
        }
        Ok(outcome)
    }

    async fn take(&self, report: &Report, now: OffsetDateTime) -> Result<ReportOutcome> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let (generation, complete) = record_report(&tx, report, now).await?;
        let online = report.people.values().filter(|online| **online).count();
        let offline = report.people.len() - online;
        let mut outcome =
            ReportOutcome { online, offline, snapshot_wanted: !complete, ..ReportOutcome::default() };
        let changes = changes(&tx, report, generation, &mut outcome).await?;
        let people: Vec<&str> = changes.added.iter().chain(&changes.released).map(String::as_str).collect();
        if !people.is_empty() {
            lock_people(&tx, &people).await?;
            release(&tx, &report.gateway, &changes.released).await?;
            if !changes.added.is_empty() {
                tx.run(sql!("people/presence/add"), &[&report.gateway, &changes.added, &generation]).await?;
            }
            outcome.changed = update_status(&tx, &people, now).await?;
        }
        // Last, because the transaction that deactivates users locks users first and then presence rows.
        if !changes.kept.is_empty() {
            tx.run(sql!("people/presence/keep"), &[&report.gateway, &changes.kept, &generation]).await?;
        }
        tx.commit().await?;
        Ok(outcome)
    }

    /// Releases the users that a snapshot omits, or all users of a silent instance.
    async fn sweep(&self, gateway: &str, now: OffsetDateTime) -> Result<Swept> {
        let mut all = Swept::default();
        let mut after = Some(String::new());
        while let Some(place) = after {
            let step = retrying(|| self.sweep_step(gateway, &place, now)).await?;
            all.people += step.people;
            all.changed += step.changed;
            all.silent = step.silent;
            after = step.after;
        }
        Ok(all)
    }

    async fn sweep_step(&self, gateway: &str, after: &str, now: OffsetDateTime) -> Result<Swept> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        tx.batch_execute(REPEATABLE).await?;
        let Some(row) =
            tx.opt(sql!("people/presence/lock_gateway"), &[&gateway, &(now - self.expire), &now]).await?
        else {
            return Ok(Swept::default());
        };
        let (kept_from, silent): (i64, bool) = (row.get("kept_from"), row.get("silent"));
        let below = if silent { i64::MAX } else { kept_from };
        let rows = tx.all(sql!("people/presence/stale"), &[&gateway, &after, &below, &SWEEP_STEP]).await?;
        let mut people: Vec<String> = rows.iter().map(|row| row.get("user_id")).collect();
        let mut swept = Swept { people: people.len(), silent, ..Swept::default() };
        if !people.is_empty() {
            lock_people(&tx, &people).await?;
            release(&tx, gateway, &people).await?;
            swept.changed = update_status(&tx, &people, now).await?;
        }
        if people.len() as i64 == SWEEP_STEP {
            swept.after = people.pop();
        } else if silent {
            tx.run(sql!("people/presence/forget"), &[&gateway]).await?;
        } else {
            tx.run(sql!("people/presence/swept"), &[&gateway, &kept_from]).await?;
        }
        tx.commit().await?;
        Ok(swept)
    }

    /// The statuses of users, by id. Unknown users are omitted. A silent instance makes no user online, even
    /// before [`Self::tick`] has released its users.
    pub async fn of_people(&self, user_ids: &[&str], now: OffsetDateTime) -> Result<Vec<Status>> {
        let rows = self
            .store
            .all(sql!("people/presence/of_people"), &[&user_ids, &(now - self.expire), &now])
            .await?;
        let status = |row: &Row| {
            Ok(Status {
                user_id: row.get("user_id"),
                status: OnlineStatus::from_db(row.get("status"))?,
                since: row.get("status_since"),
                says: UserStatus::of_row(row),
            })
        };
        rows.iter().map(status).collect()
    }
}

impl Work for Presence {
    /// Releases the users of silent instances, and finishes interrupted snapshots.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let client = self.store.client().await?;
        let (silent, ahead) = (now - self.expire, now + self.expire);
        let rows = client
            .all(sql!("people/presence/due"), &[&silent, &ahead, &(now - SWEEP_ALONE), &GATEWAYS_STEP])
            .await?;
        drop(client);
        for row in &rows {
            let swept = self.sweep(row.get("gateway"), now).await?;
            if swept.silent {
                metrics::counter!("impg_presence_gateways_gone_total").increment(1);
                tracing::warn!(people = swept.people, "a gateway instance is silent and counts as gone");
            }
        }
        Ok(if rows.len() as i64 == GATEWAYS_STEP { Tick::More } else { Tick::Idle })
    }
}

/// Sets users who have left to offline, in the transaction that deactivates them.
pub async fn drop_leavers(tx: &Transaction<'_>, user_ids: &[&str], now: OffsetDateTime) -> Result<()> {
    let rows = tx.all(sql!("people/presence/drop_leavers"), &[&user_ids]).await?;
    let held: Vec<&str> = rows.iter().map(|row| row.get("user_id")).collect();
    if !held.is_empty() {
        update_status(tx, &held, now).await?;
    }
    Ok(())
}

/// Records the report of an instance. Returns the generation of its current users, and whether the service knows all of
/// them from a complete snapshot.
async fn record_report(tx: &Transaction<'_>, report: &Report, now: OffsetDateTime) -> Result<(i64, bool)> {
    let snapshot = report.snapshot.as_ref();
    let id = snapshot.and_then(|snapshot| snapshot.id.as_deref());
    let ends = snapshot.is_some_and(|snapshot| !snapshot.more);
    let row = tx
        .one(sql!("people/presence/record_report"), &[&report.gateway, &now, &snapshot.is_some(), &id, &ends])
        .await?;
    Ok((row.get("generation"), row.get("complete")))
}

/// The changes of a report. Unknown users move from the counters of `outcome` to its unknown users.
async fn changes(
    tx: &Transaction<'_>,
    report: &Report,
    generation: i64,
    outcome: &mut ReportOutcome,
) -> Result<Changes> {
    let (people, online): (Vec<&str>, Vec<bool>) =
        report.people.iter().map(|(user_id, online)| (user_id.as_str(), *online)).unzip();
    let mut changes = Changes::default();
    if people.is_empty() {
        return Ok(changes);
    }
    let statement = tx.prepare_cached(sql!("people/presence/changing")).await?;
    for row in tx.query(&statement, &[&report.gateway, &people, &online, &generation]).await? {
        let user_id: String = row.get("user_id");
        match row.get("change") {
            "added" => changes.added.push(user_id),
            "released" => changes.released.push(user_id),
            "kept" => changes.kept.push(user_id),
            _ => {
                let told_online = report.people.get(&user_id).copied().unwrap_or_default();
                *(if told_online { &mut outcome.online } else { &mut outcome.offline }) -= 1;
                outcome.unknown_count += 1;
                if outcome.unknown.len() < UNKNOWN_NAMED {
                    outcome.unknown.push(user_id);
                }
            }
        }
    }
    Ok(changes)
}

/// Locks users. Without it, two instances that release a user at once could each assume that the other one
/// holds the user.
async fn lock_people<S: ToSql + Sync>(tx: &Transaction<'_>, user_ids: &[S]) -> Result<()> {
    tx.all(sql!("people/presence/lock_people"), &[&user_ids]).await?;
    Ok(())
}

async fn release(tx: &Transaction<'_>, gateway: &str, user_ids: &[String]) -> Result<()> {
    if !user_ids.is_empty() {
        tx.run(sql!("people/presence/release"), &[&gateway, &user_ids]).await?;
    }
    Ok(())
}

/// Updates statuses and emits events for observers. Returns the number of changed statuses.
async fn update_status<S: ToSql + Sync>(
    tx: &Transaction<'_>,
    user_ids: &[S],
    now: OffsetDateTime,
) -> Result<usize> {
    let row = tx.one(sql!("people/presence/settle"), &[&user_ids, &now, &EVENT_PEOPLE]).await?;
    Ok(row.get::<_, i64>("changed") as usize)
}
