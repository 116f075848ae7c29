//! The progress of a notification: the status of each receiver, whether the message is hot or cold.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::{IsolationLevel, Row};

use super::notice::{self, Notice};
use crate::archive::{self, Archive, Document, Find, Order};
use crate::base::error::{Error, Result};
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::delivery::status::{Status, Verdict};
use crate::records::receipt;
use crate::sql;

/// Documents that are read from the archive at once.
const COLD_STEP: usize = 1_000;
/// Why a receiver gets no message, if the notification has failed before.
const GIVEN_UP: &str = "given_up";
/// Pages of receivers that one call looks at. A page of the answer can be short.
const PAGES_STEP: i32 = 20;

/// The status of a receiver of a notification. Each receiver has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverStatus {
    /// The message is not sent yet.
    Waiting,
    Unreceived,
    Received,
    Read,
    /// The message was recalled.
    Recalled,
    /// The notification was recalled before the message was sent.
    Cancelled,
    /// The notification expired before the message was sent.
    Expired,
    /// The receiver gets no message.
    Failed,
}

/// The number of receivers by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([i64; ReceiverStatus::ALL.len()]);

/// A receiver of a notification.
#[derive(Debug)]
pub struct Receiver {
    pub user_id: String,
    pub name: String,
    pub status: ReceiverStatus,
    pub ms_id: Option<MsId>,
    pub channel_id: Option<ChannelId>,
    /// The gateway's verdict, while the message is unreceived.
    pub verdict: Option<Verdict>,
    /// The reason of the verdict, or why the receiver gets no message.
    pub reason: Option<String>,
    pub last_modified_time: Option<OffsetDateTime>,
}

/// Where a page of receivers begins: in a page of the notification, after a user.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    pub page: i32,
    pub user_id: String,
}

/// A receiver as the database tells, and the message in the archive if it is cold.
struct StoredReceiver {
    receiver: Receiver,
    is_cold: bool,
}

impl ReceiverStatus {
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Unreceived,
        Self::Received,
        Self::Read,
        Self::Recalled,
        Self::Cancelled,
        Self::Expired,
        Self::Failed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unreceived => "unreceived",
            Self::Received => "received",
            Self::Read => "read",
            Self::Recalled => "recalled",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    fn of_status(status: Status) -> Self {
        match status {
            Status::Unreceived => Self::Unreceived,
            Status::Received => Self::Received,
            Status::Read => Self::Read,
        }
    }

    /// That of a receiver without a message and without a reason.
    fn unsent(notice: &Notice) -> Self {
        match (notice.recalled_at, notice.is_open) {
            (Some(_), _) => Self::Cancelled,
            (None, true) => Self::Waiting,
            (None, false) if notice.has_failed() => Self::Failed,
            (None, false) => Self::Expired,
        }
    }
}

impl Counts {
    pub fn of(&self, status: ReceiverStatus) -> i64 {
        self.0[status as usize]
    }

    fn add(&mut self, status: ReceiverStatus, receivers: i64) {
        self.0[status as usize] += receivers;
    }
}

/// A notification and the counts of its receivers. The archive is not asked, however old the notification is.
pub async fn get(store: &Store, sender: &str, notification_id: i64) -> Result<(Notice, Counts)> {
    // One snapshot, so that the counts add up.
    let mut client = store.client().await?;
    let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let client = snapshot.start().await?;
    let notice = notice::get(&client, sender, notification_id).await?;
    let rows = client.all(sql!("notification/progress/counts"), &[&notification_id]).await?;
    let mut counts = Counts::default();
    for row in rows {
        let (status, receivers): (&str, i64) = (row.get("status"), row.get("receivers"));
        match status {
            "unsent" => counts.add(ReceiverStatus::unsent(&notice), receivers),
            known => {
                let status =
                    ReceiverStatus::parse(known).ok_or_else(|| Error::internal("an unknown status"))?;
                counts.add(status, receivers);
            }
        }
    }
    Ok((notice, counts))
}

/// Receivers of a notification in the order of their ids, with one of these statuses; none given: all. A page can
/// be short. Returns where the next page begins, if there may be one.
pub async fn receivers(
    store: &Store,
    archive: Option<&dyn Archive>,
    (sender, notification_id): (&str, i64),
    wanted: &[ReceiverStatus],
    (after, limit): (Cursor, usize),
) -> Result<(Vec<Receiver>, Option<Cursor>)> {
    let notice = notice::get(&store.client().await?, sender, notification_id).await?;
    let (mut found, mut after) = (Vec::new(), after);
    for _ in 0..PAGES_STEP {
        let known = page(store, &notice, after.page).await?;
        if known.is_empty() {
            return Ok((found, None));
        }
        let is_wanted = |known: &StoredReceiver| {
            known.receiver.user_id > after.user_id
                && (wanted.is_empty() || wanted.contains(&known.receiver.status))
        };
        let whole = with_archived(archive, sender, known).await?;
        for known in whole.into_iter().filter(is_wanted) {
            found.push(known.receiver);
            if found.len() == limit {
                let user_id = found.last().map(|last| last.user_id.clone()).unwrap_or_default();
                return Ok((found, Some(Cursor { page: after.page, user_id })));
            }
        }
        after = Cursor { page: after.page + 1, user_id: String::new() };
    }
    Ok((found, Some(after)))
}

/// The receivers of one page of a notification. The status of a cold message is that of receipts which the archive
/// may not have yet.
async fn page(store: &Store, notice: &Notice, page: i32) -> Result<Vec<StoredReceiver>> {
    let rows = store.all(sql!("notification/progress/receivers"), &[&notice.notification_id, &page]).await?;
    rows.iter().map(|row| known(notice, row)).collect()
}

fn known(notice: &Notice, row: &Row) -> Result<StoredReceiver> {
    let (ms_id, failed): (Option<MsId>, Option<String>) = (row.get("ms_id"), row.get("reason"));
    let status = match row.get("status") {
        Some(code) => Status::from_db(code)?,
        None => Status::Unreceived,
    };
    let is_recalled: bool = row.get("is_recalled");
    let status = match (&failed, ms_id) {
        (Some(_), _) => ReceiverStatus::Failed,
        (None, None) => ReceiverStatus::unsent(notice),
        (None, Some(_)) if is_recalled => ReceiverStatus::Recalled,
        (None, Some(_)) => ReceiverStatus::of_status(status),
    };
    let given_up = (failed.is_none() && status == ReceiverStatus::Failed).then(|| GIVEN_UP.to_owned());
    let verdict = row.get::<_, Option<i16>>("verdict").filter(|_| status == ReceiverStatus::Unreceived);
    let verdict_reason = row.get::<_, Option<String>>("verdict_reason").filter(|_| verdict.is_some());
    Ok(StoredReceiver {
        is_cold: row.get::<_, bool>("is_cold") && !is_recalled,
        receiver: Receiver {
            user_id: row.get("user_id"),
            name: row.get::<_, Option<String>>("name").unwrap_or_default(),
            status,
            ms_id,
            channel_id: row.get("channel_id"),
            verdict: verdict.map(Verdict::from_db).transpose()?,
            reason: failed.or(given_up).or(verdict_reason),
            last_modified_time: row.get("last_modified_time"),
        },
    })
}

/// The same with what the archive says of cold messages. It is asked after the database: a receipt that leaves for
/// the archive in between is there by then.
async fn with_archived(
    archive: Option<&dyn Archive>,
    sender: &str,
    mut known: Vec<StoredReceiver>,
) -> Result<Vec<StoredReceiver>> {
    let cold: Vec<MsId> =
        known.iter().filter(|known| known.is_cold).filter_map(|known| known.receiver.ms_id).collect();
    if cold.is_empty() {
        return Ok(known);
    }
    let archive = archive.ok_or_else(archive::not_configured)?;
    let documents = documents(archive, sender, &cold).await?;
    for StoredReceiver { receiver, .. } in known.iter_mut().filter(|known| known.is_cold) {
        let document = receiver.ms_id.and_then(|ms_id| documents.get(&ms_id));
        let document = document.ok_or_else(|| Error::unavailable("the archive lacks a message"))?;
        let ledger = document.ledger.as_ref();
        let rows = ledger.map(|ledger| receipt::statuses(document, ledger)).unwrap_or_default();
        let Some(row) = rows.into_iter().find(|row| row.receiver == receiver.user_id) else { continue };
        let archived = ReceiverStatus::of_status(row.status);
        if archived as usize >= receiver.status as usize {
            receiver.status = archived;
            receiver.verdict = row.verdict;
            receiver.reason = row.verdict_reason;
            receiver.last_modified_time = Some(row.last_modified_time);
        }
    }
    Ok(known)
}

/// The documents of these messages of a sender. The messages of a step were sent at once, so few others of the
/// sender are between them.
async fn documents(archive: &dyn Archive, sender: &str, ms_ids: &[MsId]) -> Result<HashMap<MsId, Document>> {
    let (Some(from), Some(last)) = (ms_ids.iter().min(), ms_ids.iter().max()) else {
        return Ok(HashMap::new());
    };
    let mut found = HashMap::new();
    let mut find = Find {
        sender: Some(sender.to_owned()),
        from: *from,
        below: last.next(),
        order: Order::Oldest,
        ..Find::newest(COLD_STEP)
    };
    loop {
        let documents = archive.find(&find).await?;
        let is_full = documents.len() == COLD_STEP;
        find.after = documents.last().map(|last| (last.ms_id, last.part));
        found.extend(
            documents
                .into_iter()
                .filter(|d| ms_ids.contains(&d.ms_id))
                .map(|document| (document.ms_id, document)),
        );
        if !is_full || found.len() == ms_ids.len() {
            return Ok(found);
        }
    }
}
