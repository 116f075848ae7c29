//! Who is online: whoever any instance of the gateway holds a connection of, as the instances tell it.
//!
//! An instance is heard with every report. One that goes silent for too long is taken as gone, and
//! nobody is online because of it any more. Presence knows nothing of messages: a push goes to
//! whoever is a receiver, and its answer says who was there.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::config::Config;
use crate::error::Result;
use crate::schedule::Tick;
use crate::sql;
use crate::store::{REPEATABLE, Store, retrying};

/// Unknown people that an answer names.
const UNKNOWN_NAMED: usize = 100;
/// People let go in one transaction.
const SWEEP_STEP: i64 = 1_000;
/// Most people whose change one event tells.
const EVENT_PEOPLE: i64 = 1_000;
/// A snapshot is ended by the request that brought it; another replica goes on with it after this long.
const SWEEP_ALONE: Duration = Duration::seconds(30);
/// Instances that a tick looks after.
const GATEWAYS_STEP: i64 = 100;

/// Presence in one replica; every replica may run it at once.
#[derive(Clone)]
pub struct Presence {
    store: Store,
    expire: Duration,
}

/// What an instance of the gateway tells.
#[derive(Debug)]
pub struct Report {
    /// The instance; two replicas of a gateway have two names.
    pub gateway: String,
    /// Whether these people are online by it.
    pub people: BTreeMap<String, bool>,
    pub snapshot: Option<Snapshot>,
}

/// Says that a report, with its other parts, names everybody whom the instance holds.
#[derive(Debug)]
pub struct Snapshot {
    /// Ties parts together; none: it has one part.
    pub id: Option<String>,
    /// Whether another part follows.
    pub more: bool,
}

/// What came of a report.
#[derive(Debug, Default)]
pub struct Outcome {
    /// People it named as online.
    pub online: usize,
    /// People it named as offline, and those whom its snapshot let go.
    pub offline: usize,
    /// People whose status is another one now.
    pub changed: usize,
    /// People whom the directory does not know, or who have left; not more than a page of them.
    pub unknown: Vec<String>,
    pub unknown_count: usize,
    /// Whether we may not know everybody whom the instance holds: it is new, or was taken as gone.
    pub snapshot_wanted: bool,
}

/// A person's status, and since when it is what it is.
#[derive(Debug)]
pub struct Status {
    pub user_id: String,
    /// `online` or `offline`
    pub status: String,
    /// None: never been online.
    pub since: Option<OffsetDateTime>,
}

/// What a report changes of whom its instance holds.
#[derive(Debug, Default)]
struct Changes {
    taken_on: Vec<String>,
    let_go: Vec<String>,
    kept: Vec<String>,
}

#[derive(Debug, Default)]
struct Swept {
    people: usize,
    changed: usize,
    /// Whether it was because nothing was heard any more.
    silent: bool,
    /// After whom it goes on, if it does.
    after: Option<String>,
}

impl Presence {
    pub fn new(store: Store, config: &Config) -> Self {
        let expire = config.presence_expire.try_into().unwrap_or(Duration::MAX);
        Self { store, expire }
    }

    /// Takes a report in, and by it hears from its instance. Whom a snapshot leaves out is let go before
    /// this returns, in short steps of their own; should it break off, [`Self::tick`] goes on with them.
    pub async fn report(&self, report: &Report, now: OffsetDateTime) -> Result<Outcome> {
        let mut outcome = retrying(|| self.take(report, now)).await?;
        if report.snapshot.as_ref().is_some_and(|snapshot| !snapshot.more) {
            let swept = self.sweep(&report.gateway, now).await?;
            outcome.offline += swept.people;
            outcome.changed += swept.changed;
        }
        Ok(outcome)
    }

    async fn take(&self, report: &Report, now: OffsetDateTime) -> Result<Outcome> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        let (generation, complete) = hear(&tx, report, now).await?;
        let online = report.people.values().filter(|online| **online).count();
        let offline = report.people.len() - online;
        let mut outcome = Outcome { online, offline, snapshot_wanted: !complete, ..Outcome::default() };
        let changes = changes(&tx, report, generation, &mut outcome).await?;
        let people: Vec<&str> = changes.taken_on.iter().chain(&changes.let_go).map(String::as_str).collect();
        if !people.is_empty() {
            lock_people(&tx, &people).await?;
            let_go(&tx, &report.gateway, &changes.let_go).await?;
            if !changes.taken_on.is_empty() {
                let statement = tx.prepare_cached(sql!("presence/take_on")).await?;
                tx.execute(&statement, &[&report.gateway, &changes.taken_on, &generation]).await?;
            }
            outcome.changed = settle(&tx, &people, now).await?;
        }
        // Last: who makes people leave locks them first and whom instances hold after that.
        if !changes.kept.is_empty() {
            let statement = tx.prepare_cached(sql!("presence/keep")).await?;
            tx.execute(&statement, &[&report.gateway, &changes.kept, &generation]).await?;
        }
        tx.commit().await?;
        Ok(outcome)
    }

    /// Takes instances that have gone silent as gone, and ends what snapshots broke off.
    pub async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("presence/due")).await?;
        let (silent, ahead) = (now - self.expire, now + self.expire);
        let rows = client.query(&statement, &[&silent, &ahead, &(now - SWEEP_ALONE), &GATEWAYS_STEP]).await?;
        drop(client);
        for row in &rows {
            let swept = self.sweep(row.get("gateway"), now).await?;
            if swept.silent {
                metrics::counter!("impg_presence_gateways_gone_total").increment(1);
                tracing::warn!(
                    people = swept.people,
                    "an instance of the gateway is silent and taken as gone"
                );
            }
        }
        Ok(if rows.len() as i64 == GATEWAYS_STEP { Tick::More } else { Tick::Idle })
    }

    /// Lets go of whom a snapshot left out, or of everybody if the instance has gone silent.
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
        let statement = tx.prepare_cached(sql!("presence/lock_gateway")).await?;
        let Some(row) = tx.query_opt(&statement, &[&gateway, &(now - self.expire), &now]).await? else {
            return Ok(Swept::default());
        };
        let (kept_from, silent): (i64, bool) = (row.get("kept_from"), row.get("silent"));
        let below = if silent { i64::MAX } else { kept_from };
        let statement = tx.prepare_cached(sql!("presence/stale")).await?;
        let rows = tx.query(&statement, &[&gateway, &after, &below, &SWEEP_STEP]).await?;
        let mut people: Vec<String> = rows.iter().map(|row| row.get("user_id")).collect();
        let mut swept = Swept { people: people.len(), silent, ..Swept::default() };
        if !people.is_empty() {
            lock_people(&tx, &people).await?;
            let_go(&tx, gateway, &people).await?;
            swept.changed = settle(&tx, &people, now).await?;
        }
        if people.len() as i64 == SWEEP_STEP {
            swept.after = people.pop();
        } else if silent {
            let statement = tx.prepare_cached(sql!("presence/forget")).await?;
            tx.execute(&statement, &[&gateway]).await?;
        } else {
            let statement = tx.prepare_cached(sql!("presence/swept")).await?;
            tx.execute(&statement, &[&gateway, &kept_from]).await?;
        }
        tx.commit().await?;
        Ok(swept)
    }

    /// The statuses of people, by id; of whom the directory does not know, nothing. Nobody is online by an
    /// instance that is silent, also where [`Self::tick`] has not come round to it yet.
    pub async fn of_people(&self, user_ids: &[&str], now: OffsetDateTime) -> Result<Vec<Status>> {
        let client = self.store.client().await?;
        let statement = client.prepare_cached(sql!("presence/of_people")).await?;
        let rows = client.query(&statement, &[&user_ids, &(now - self.expire), &now]).await?;
        let status = |row: &Row| Status {
            user_id: row.get("user_id"),
            status: row.get("status"),
            since: row.get("status_since"),
        };
        Ok(rows.iter().map(status).collect())
    }
}

/// Nobody of these who has left is online any more: for the transaction that made them leave.
pub async fn drop_leavers(tx: &Transaction<'_>, user_ids: &[&str], now: OffsetDateTime) -> Result<()> {
    let statement = tx.prepare_cached(sql!("presence/drop_leavers")).await?;
    let rows = tx.query(&statement, &[&user_ids]).await?;
    let held: Vec<&str> = rows.iter().map(|row| row.get("user_id")).collect();
    if !held.is_empty() {
        settle(tx, &held, now).await?;
    }
    Ok(())
}

/// The instance's generation, and whether a snapshot of it is through.
async fn hear(tx: &Transaction<'_>, report: &Report, now: OffsetDateTime) -> Result<(i64, bool)> {
    let snapshot = report.snapshot.as_ref();
    let id = snapshot.and_then(|snapshot| snapshot.id.as_deref());
    let ends = snapshot.is_some_and(|snapshot| !snapshot.more);
    let statement = tx.prepare_cached(sql!("presence/hear")).await?;
    let row = tx.query_one(&statement, &[&report.gateway, &now, &snapshot.is_some(), &id, &ends]).await?;
    Ok((row.get("generation"), row.get("complete")))
}

/// What the report changes. Unknown people move from the numbers of `outcome` to its unknown ones.
async fn changes(
    tx: &Transaction<'_>,
    report: &Report,
    generation: i64,
    outcome: &mut Outcome,
) -> Result<Changes> {
    let (people, online): (Vec<&str>, Vec<bool>) =
        report.people.iter().map(|(user_id, online)| (user_id.as_str(), *online)).unzip();
    let mut changes = Changes::default();
    if people.is_empty() {
        return Ok(changes);
    }
    let statement = tx.prepare_cached(sql!("presence/changing")).await?;
    for row in tx.query(&statement, &[&report.gateway, &people, &online, &generation]).await? {
        let user_id: String = row.get("user_id");
        match row.get("change") {
            "taken_on" => changes.taken_on.push(user_id),
            "let_go" => changes.let_go.push(user_id),
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

/// Two instances that let go of one person at once must not each take them as held by the other.
async fn lock_people<S: ToSql + Sync>(tx: &Transaction<'_>, user_ids: &[S]) -> Result<()> {
    let statement = tx.prepare_cached(sql!("presence/lock_people")).await?;
    tx.query(&statement, &[&user_ids]).await?;
    Ok(())
}

async fn let_go(tx: &Transaction<'_>, gateway: &str, user_ids: &[String]) -> Result<()> {
    if !user_ids.is_empty() {
        let statement = tx.prepare_cached(sql!("presence/let_go")).await?;
        tx.execute(&statement, &[&gateway, &user_ids]).await?;
    }
    Ok(())
}

/// How many statuses have changed, which observers who asked are told.
async fn settle<S: ToSql + Sync>(tx: &Transaction<'_>, user_ids: &[S], now: OffsetDateTime) -> Result<usize> {
    let statement = tx.prepare_cached(sql!("presence/settle")).await?;
    let row = tx.query_one(&statement, &[&user_ids, &now, &EVENT_PEOPLE]).await?;
    Ok(row.get::<_, i64>("changed") as usize)
}
