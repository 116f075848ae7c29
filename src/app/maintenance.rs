//! Housekeeping: creates partitions in advance, freezes ended days, prunes old rows, reads gauges.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::{Duration, OffsetDateTime};

use crate::accounts;
use crate::archive::index;
use crate::archive::mover::{Archiver, State};
use crate::base::claim;
use crate::base::config::Config;
use crate::base::error::Result;
use crate::base::store::{Crowding, Statements, Store};
use crate::base::worker::{Tick, Work};
use crate::calls;
use crate::chat::channel::leavers;
use crate::delivery::endpoint::{Callbacks, GATEWAY};
use crate::delivery::{escalation, push, reminder};
use crate::events;
use crate::identity;
use crate::people::{key_package, relation};
use crate::records::{card, conversation, history};
use crate::sql;
use crate::sync;

/// Rows that one step prunes. While there are more, the next step follows at once.
const PRUNE_STEP: i64 = 2_000;
/// Pages of client ids that one step walks: 8 MB.
const CLIENT_ID_PAGES: i64 = 1_000;
const EVENTS_STEP: i32 = 10_000;
const HELD_STEP: i32 = 10_000;
/// The newest channels that a step compares with the relations of their users.
const NEWEST_CHANNELS: i64 = 2_000;
/// How long after its creation a channel is compared.
const NEW_FOR: Duration = Duration::hours(1);
/// How long after its end a day is frozen: most late receipts have arrived by then.
const FREEZE_AFTER: Duration = Duration::hours(1);

/// The housekeeping of a replica. It can run on all replicas at the same time.
pub struct Maintenance {
    /// Where the walk through the client ids goes on.
    pub client_id_page: AtomicI64,
    pub store: Store,
    pub config: Config,
    pub callbacks: Arc<Callbacks>,
    pub archiver: Option<Arc<Archiver>>,
}

impl Maintenance {
    /// Freezes one partition of an ended day. Reads then need no visibility checks, and wraparound vacuum
    /// skips its pages. It has its own tick, because a large day takes long.
    pub async fn freeze(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        self.store.freeze_partition(now - FREEZE_AFTER).await?;
        // Waits before the next partition: sends have priority.
        Ok(Tick::Idle)
    }

    /// Walks a stretch of the table; the next one goes on from there. Returns how many ids were forgotten.
    async fn prune_client_ids(&self, now: OffsetDateTime) -> Result<u64> {
        let before = now - Duration::days(self.config.chat.client_id_keep_days.into());
        let first = self.client_id_page.fetch_add(CLIENT_ID_PAGES, Ordering::Relaxed);
        let row = self
            .store
            .one(sql!("app/maintenance/prune_client_ids"), &[&before, &first, &CLIENT_ID_PAGES])
            .await?;
        if first + CLIENT_ID_PAGES >= row.get::<_, i64>("pages") {
            self.client_id_page.store(0, Ordering::Relaxed);
        }
        Ok(row.get::<_, i64>("pruned").unsigned_abs())
    }

    /// How far the archive and the directory are behind now. What has not happened yet has no age.
    async fn read_ages(&self, now: OffsetDateTime) -> Result<()> {
        let row = self.store.one(sql!("app/maintenance/ages"), &[]).await?;
        for (gauge, column) in
            [("impg_archive_horizon_age_seconds", "horizon"), ("impg_directory_age_seconds", "directory")]
        {
            if let Some(at) = row.get::<_, Option<OffsetDateTime>>(column) {
                metrics::gauge!(gauge).set((now - at).as_seconds_f64().max(0.0));
            }
        }
        Ok(())
    }

    async fn read_gauges(&self, now: OffsetDateTime) -> Result<()> {
        let backlog = push::backlog(&self.store, GATEWAY).await?;
        let age = backlog.oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0));
        metrics::gauge!("impg_push_backlog_pairs").set(backlog.pairs as f64);
        metrics::gauge!("impg_push_backlog_age_seconds").set(age);
        metrics::gauge!("impg_push_dead_letters").set(backlog.dead as f64);
        if let Some(archiver) = &self.archiver {
            let backlog = index::backlog(&self.store).await?;
            metrics::gauge!("impg_index_lag_seconds").set(backlog.lag_seconds(now));
            metrics::gauge!("impg_index_backlog_commits").set(backlog.commits as f64);
            let state = archiver.state(&self.store, now).await?;
            for alarm in [State::Overdue, State::Failed] {
                let raised = if state == alarm { 1.0 } else { 0.0 };
                metrics::gauge!("impg_archive_alarm", "alarm" => alarm.as_str()).set(raised);
            }
        }
        self.read_ages(now).await?;
        let backlog = self.store.one(sql!("app/maintenance/backlog"), &[]).await?;
        for (gauge, column) in [("impg_receipts_pending", "receipts"), ("impg_reads_pending", "reads")] {
            metrics::gauge!(gauge).set(backlog.get::<_, i64>(column) as f64);
        }
        let crowding = self.store.crowding(self.config.database.pool_size).await?;
        metrics::gauge!("impg_partitions").set(crowding.partitions as f64);
        metrics::gauge!("impg_lock_room_share").set(crowding.wanted as f64 / crowding.locks as f64);
        if crowding.is_crowded() {
            let Crowding { partitions, locks, wanted } = crowding;
            tracing::warn!(
                partitions,
                locks,
                wanted,
                "there are so many partitions that the server may run out of locks: \
                 raise max_locks_per_transaction, or set archive_url"
            );
        }
        Ok(())
    }
}

impl Work for Maintenance {
    /// Creates partitions, prunes one step of each kind of old rows, and reads the gauges.
    async fn tick(&self) -> Result<Tick> {
        let now = self.store.now().await?;
        self.store.make_partitions(&self.config).await?;
        let client_ids = self.prune_client_ids(now).await?;
        let keep = Duration::days(self.config.chat.client_id_keep_days.into());
        let claims = claim::prune(&self.store, now - keep, PRUNE_STEP).await?;
        let keep = Duration::days(self.config.chat.mention_keep_days.into());
        let mentions = conversation::prune_mentions(&self.store, now - keep, PRUNE_STEP).await?;
        let marks = history::prune_marks(&self.store, PRUNE_STEP).await?;
        let keep = Duration::days(self.config.callbacks.keep_days.into());
        let attempts = push::prune(&self.store, now - keep, PRUNE_STEP).await?;
        let hold = Duration::days(self.config.callbacks.hold_days.into());
        let held = push::forget_held(&self.store, now - hold, HELD_STEP).await?;
        let before = now - self.config.chat.nudge_every;
        let reminded = escalation::prune(&self.store, before, PRUNE_STEP).await?;
        let told = reminder::prune(&self.store, now, PRUNE_STEP).await?;
        let events = events::prune(&self.store, now - self.config.events.keep(), EVENTS_STEP).await?;
        sync::prune_runs(&self.store, now - Duration::days(self.config.directory.keep_days.into())).await?;
        let keep = Duration::days(self.config.directory.edit_keep_days.into());
        let edits = sync::edit::prune(&self.store, now - keep, PRUNE_STEP).await?;
        let keep = Duration::days(self.config.directory.return_days.into());
        let left = leavers::prune(&self.store, now - keep, PRUNE_STEP).await?;
        let actions = card::prune(&self.store, now - self.config.events.keep(), PRUNE_STEP).await?;
        let removed = self.callbacks.tidy(now).await?;
        let replays = identity::prune_replays(&self.store, now).await?;
        let tokens = identity::token::prune(&self.store, now, PRUNE_STEP).await?;
        let sessions = accounts::prune(&self.store, now, PRUNE_STEP).await?;
        let links = identity::link::prune(&self.store, now, PRUNE_STEP).await?;
        let key_packages = key_package::prune(&self.store, now, PRUNE_STEP).await?;
        relation::repair_directs(&self.store, NEWEST_CHANNELS, now - NEW_FOR).await?;
        let keep = Duration::days(self.config.chat.client_id_keep_days.into());
        let calls = calls::prune(&self.store, now - keep, PRUNE_STEP).await?;
        self.read_gauges(now).await?;
        let (attempts, reminded) = (attempts.unsigned_abs(), reminded.unsigned_abs());
        let steps = [
            client_ids,
            claims,
            mentions,
            marks,
            attempts,
            reminded,
            told,
            replays,
            tokens,
            sessions,
            links,
            edits,
            left,
            actions,
            calls,
            key_packages,
        ];
        let full = steps.iter().any(|n| *n >= PRUNE_STEP.unsigned_abs())
            || held >= HELD_STEP.unsigned_abs().into()
            || events >= EVENTS_STEP.into()
            || removed > 0;
        Ok(if full { Tick::More } else { Tick::Idle })
    }
}
