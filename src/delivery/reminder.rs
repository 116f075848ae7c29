//! Reminders of messages that did not reach users, because the gateway said that they are offline or rejected the push.
//! Observers are told of a user once for all messages of a while, after the user's quiet hours. A portal makes an e-mail
//! of it.
//!
//! A push notes the receivers with a first verdict, a row a block. The worker distributes the notes among the users. When a
//! user's reminder is due, the messages that still have not reached the user become an event. Each step is one transaction
//! under the lease, so each message is told of once, whatever is killed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;
use tokio_postgres::Row;

use crate::base::config::Config;
use crate::base::error::{Error, Result};
use crate::base::lease::Lease;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store, retrying};
use crate::base::worker::{Tick, Work};
use crate::delivery::ledger::Block;
use crate::people::preference::{self, EVERY_MAX_S, HOLD_MAX, Preference, Timing};
use crate::people::presence::{Presence, Status};
use crate::sql;

/// Most notes that one transaction distributes. It takes no further note after so many receivers.
const NOTES: i32 = 500;
const RECEIVERS: i32 = 5_000;
/// Most users whose reminders one transaction does. It takes no further user after so many channels.
const USERS: i32 = 200;
const CHANNELS: i32 = 500;
/// Most messages of a channel that a reminder counts.
const MESSAGES: i32 = 50;
/// Most channels that one event names.
const NAMED_MAX: usize = 50;
/// Most reminders whose wait begins again in one statement, after the clock stepped back.
const REDATED: i32 = 10_000;

/// The reminders of a replica. Their worker runs on one replica at a time.
pub struct Reminders {
    store: Store,
    lease: Lease,
    presence: Presence,
    /// From the first message that does not reach a user until observers are told.
    after_ms: i64,
    /// Woken after new events.
    events: Arc<Notify>,
}

/// A user whose reminder is due.
struct Due {
    user_id: String,
    /// The first verdict since the last reminder.
    since: OffsetDateTime,
    reminded_at: Option<OffsetDateTime>,
}

/// The result for a user whose reminder is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Tell,
    /// In quiet hours, or too soon after the last reminder.
    Wait(OffsetDateTime),
    /// The user is online, or wants no reminders.
    Drop,
}

impl Reminders {
    pub fn new(store: Store, config: &Config, presence: Presence, events: Arc<Notify>) -> Self {
        Self {
            lease: Lease::new(store.clone(), "reminders", config.workers.lease),
            store,
            presence,
            after_ms: i64::try_from(config.chat.remind_after.as_millis()).unwrap_or(i64::MAX),
            events,
        }
    }

    /// Distributes some of the noted verdicts among their users. Returns whether there were any.
    async fn distribute(&self, epoch: i64, now: OffsetDateTime) -> Result<bool> {
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        let row =
            tx.one(sql!("delivery/reminder/distribute"), &[&now, &self.after_ms, &NOTES, &RECEIVERS]).await?;
        tx.commit().await?;
        Ok(row.get::<_, i64>("notes") > 0)
    }

    /// Does some of the reminders that are due. Returns whether there were any.
    async fn remind(&self, epoch: i64, now: OffsetDateTime) -> Result<bool> {
        let rows = self.store.all(sql!("delivery/reminder/waiting"), &[&now, &USERS, &CHANNELS]).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let due: Vec<Due> = rows.iter().map(Due::of_row).collect();
        let user_ids: Vec<&str> = due.iter().map(|due| due.user_id.as_str()).collect();
        let online: HashSet<String> = self
            .presence
            .of_people(&user_ids, now)
            .await?
            .into_iter()
            .filter(Status::is_online)
            .map(|status| status.user_id)
            .collect();
        let mut client = self.store.client().await?;
        let tx = client.transaction().await?;
        self.lease.hold(&tx, epoch).await?;
        let settings = preference::of_users(&tx, &user_ids).await?;
        let (mut telling, mut ended, mut waiting) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
        for one in &due {
            let user_id = one.user_id.as_str();
            match one.decide(settings.get(user_id), online.contains(user_id), now) {
                Decision::Tell => telling.push(user_id),
                Decision::Drop => ended.push(user_id),
                Decision::Wait(until) => {
                    waiting.0.push(user_id);
                    waiting.1.push(until);
                }
            }
        }
        if !waiting.0.is_empty() {
            tx.run(sql!("delivery/reminder/postpone"), &[&waiting.0, &waiting.1, &now]).await?;
        }
        let told = tell(&tx, &telling, &settings, now).await?;
        ended.extend(telling);
        finish(&tx, &ended, (&told, &settings), now).await?;
        tx.commit().await?;
        if !told.is_empty() {
            metrics::counter!("impg_reminders_total").increment(told.len() as u64);
            self.events.notify_one();
        }
        Ok(true)
    }
}

impl Work for Reminders {
    /// Distributes some verdicts, then does some of the reminders that are due.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        let row = self.store.one(sql!("delivery/reminder/due"), &[&now]).await?;
        let (noted, due, stepped_back): (bool, bool, bool) =
            (row.get("noted"), row.get("due"), row.get("stepped_back"));
        if stepped_back {
            self.store.run(sql!("delivery/reminder/redate"), &[&now, &self.after_ms, &REDATED]).await?;
        }
        if !noted && !due {
            return Ok(Tick::Idle);
        }
        let Some(epoch) = self.lease.take(now).await? else {
            return Ok(Tick::Idle);
        };
        let began = Instant::now();
        let distributed = noted && retrying(|| self.distribute(epoch, now)).await?;
        let reminded = due && retrying(|| self.remind(epoch, now)).await?;
        self.store.throttle().rest("reminders", began).await;
        Ok(if distributed || reminded { Tick::More } else { Tick::Idle })
    }

    async fn release(&self) -> Result<()> {
        self.lease.give_back(self.store.now().await?).await
    }
}

impl Due {
    fn of_row(row: &Row) -> Self {
        Self { user_id: row.get("user_id"), since: row.get("since"), reminded_at: row.get("reminded_at") }
    }

    /// What is to be done now. Without settings the defaults hold. Quiet hours hold a reminder for [`HOLD_MAX`] at most.
    fn decide(&self, settings: Option<&Preference>, is_online: bool, now: OffsetDateTime) -> Decision {
        if is_online || settings.is_some_and(|settings| !settings.offline_reminder) {
            return Decision::Drop;
        }
        let Some(settings) = settings else {
            return Decision::Tell;
        };
        let timing = Timing::new(&settings.quiet, settings.every_s);
        let again = self.reminded_at.map(|at| at + timing.every);
        let quiet = timing.quiet_until(now).map(|until| until.min(self.since + HOLD_MAX));
        match again.max(quiet) {
            Some(until) if until > now => Decision::Wait(until),
            _ => Decision::Tell,
        }
    }
}

/// Notes the receivers in these blocks with a first verdict. If there are none, it asks the database for nothing.
pub async fn note(tx: &Transaction<'_>, blocks: &[Block], now: OffsetDateTime) -> Result<()> {
    let unreached: Vec<_> =
        blocks.iter().filter_map(|block| Some((block.key, block.newly_unreached()?))).collect();
    if unreached.is_empty() {
        return Ok(());
    }
    let ms_ids: Vec<MsId> = unreached.iter().map(|(key, _)| key.ms_id).collect();
    let numbers: Vec<i32> = unreached.iter().map(|(key, _)| key.block).collect();
    let places: Vec<_> = unreached.iter().map(|(_, places)| *places).collect();
    tx.run(sql!("delivery/reminder/note"), &[&ms_ids, &numbers, &places, &now]).await?;
    Ok(())
}

/// Emits `message.unreceived` for those of these users who still lack messages. Returns these users.
async fn tell(
    tx: &Transaction<'_>,
    user_ids: &[&str],
    settings: &HashMap<String, Preference>,
    now: OffsetDateTime,
) -> Result<Vec<String>> {
    if user_ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx.all(sql!("delivery/reminder/unreached"), &[&user_ids, &MESSAGES]).await?;
    let (mut told, mut events) = (Vec::new(), Vec::new());
    for of_user in
        rows.chunk_by(|one, other| one.get::<_, &str>("user_id") == other.get::<_, &str>("user_id"))
    {
        let user_id: &str = of_user[0].get("user_id");
        for named in of_user.chunks(NAMED_MAX) {
            events.push(json!({"actor": user_id, "data": data(user_id, settings.get(user_id), named)?}));
        }
        told.push(user_id.to_owned());
    }
    tx.run(sql!("delivery/reminder/tell"), &[&Json(events), &now]).await?;
    Ok(told)
}

/// The data of an event about a user and some of the channels.
fn data(user_id: &str, settings: Option<&Preference>, channels: &[Row]) -> Result<Value> {
    let defaults = Preference::default();
    let settings = settings.unwrap_or(&defaults);
    let messages: i64 = channels.iter().map(|row| row.get::<_, i64>("messages")).sum();
    let channels = channels.iter().map(channel).collect::<Result<Vec<_>>>()?;
    let mut data = json!({
        "user_id": user_id, "priority": settings.offline_priority, "messages": messages, "channels": channels,
    });
    if !settings.ways.is_empty() {
        data["ways"] = json!(settings.ways);
    }
    Ok(data)
}

fn channel(row: &Row) -> Result<Value> {
    let server_time: OffsetDateTime = row.get("server_time");
    Ok(json!({
        "channel_id": row.get::<_, ChannelId>("channel_id"),
        "channel_type": row.get::<_, &str>("channel_type"),
        "channel_name": row.get::<_, Option<&str>>("channel_name"),
        "messages": row.get::<_, i64>("messages"),
        "rejected": row.get::<_, i64>("rejected"),
        "newest": {
            "ms_id": row.get::<_, MsId>("ms_id"),
            "seq": row.get::<_, i64>("seq"),
            "sender": row.get::<_, &str>("sender"),
            "sender_name": row.get::<_, Option<&str>>("sender_name").unwrap_or_default(),
            "server_time": server_time.format(&Rfc3339).map_err(Error::internal)?,
        },
    }))
}

/// Ends the reminders of these users.
async fn finish(
    tx: &Transaction<'_>,
    ended: &[&str],
    (told, settings): (&[String], &HashMap<String, Preference>),
    now: OffsetDateTime,
) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let has_every = |user_id: &&String| settings.get(*user_id).is_some_and(|settings| settings.every_s > 0);
    let kept: Vec<&String> = told.iter().filter(has_every).collect();
    tx.run(sql!("delivery/reminder/finish"), &[&ended, &kept, &now]).await?;
    Ok(())
}

/// Deletes reminders that hold up no further one, at most `most`. Returns their number.
pub async fn prune(store: &Store, now: OffsetDateTime, most: i64) -> Result<u64> {
    let begun_before = now - Duration::seconds(EVERY_MAX_S.into());
    store.run(sql!("delivery/reminder/prune"), &[&begun_before, &most]).await
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::people::preference::Quiet;

    const NOW: OffsetDateTime = datetime!(2026-11-10 08:00 UTC);

    fn quiet(from: &str, to: &str) -> Preference {
        let (from, to, time_zone) = (from.to_owned(), to.to_owned(), "UTC".to_owned());
        Preference { quiet: vec![Quiet { from, to, days: None, time_zone }], ..Preference::default() }
    }

    #[test]
    fn a_reminder_waits_for_quiet_hours_and_for_the_last_one() {
        let due = Due { user_id: "a".into(), since: NOW - Duration::MINUTE, reminded_at: None };
        let decide = |due: &Due, settings: &Preference| due.decide(Some(settings), false, NOW);
        assert_eq!(due.decide(None, false, NOW), Decision::Tell);
        assert_eq!(due.decide(None, true, NOW), Decision::Drop);
        let unwanted = Preference { offline_reminder: false, ..Preference::default() };
        assert_eq!(decide(&due, &unwanted), Decision::Drop);
        assert_eq!(decide(&due, &quiet("09:00", "10:00")), Decision::Tell);
        assert_eq!(decide(&due, &quiet("07:00", "10:00")), Decision::Wait(datetime!(2026-11-10 10:00 UTC)));
        assert_eq!(
            decide(&due, &quiet("00:00", "00:00")),
            Decision::Wait(due.since + HOLD_MAX),
            "it never ends"
        );
        let old = Due { since: NOW - HOLD_MAX, ..due };
        assert_eq!(decide(&old, &quiet("07:00", "10:00")), Decision::Tell, "it has waited long enough");

        let again = Due { reminded_at: Some(NOW - Duration::MINUTE), ..old };
        let hourly = Preference { every_s: 3_600, ..Preference::default() };
        assert_eq!(decide(&again, &hourly), Decision::Wait(NOW + Duration::minutes(59)));
        assert_eq!(decide(&again, &Preference { every_s: 60, ..Preference::default() }), Decision::Tell);
    }
}
