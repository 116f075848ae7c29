//! The conversation list: pinned conversations first, then unread ones, then by latest activity.

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::error::Result;
use crate::sql;
use crate::store::Store;

/// A message can be committed this long after its timestamp. Later pages repeat what changed since, so that a
/// moved entry is not missed.
const COMMIT_LAG: Duration = Duration::seconds(5);

/// One conversation of a user.
#[derive(Debug)]
pub struct Conversation {
    pub channel_id: i64,
    pub channel_type: String,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub announcement: Option<String>,
    pub unread_count: i64,
    pub read_seq: i64,
    pub last_seq: i64,
    pub last_message: Option<LastMessage>,
    pub sorted_at: OffsetDateTime,
    pub pinned: bool,
    pub muted: bool,
    /// When it is no longer muted, if that is set.
    pub mute_until: Option<OffsetDateTime>,
    pub remark: Option<String>,
}

#[derive(Debug)]
pub struct LastMessage {
    pub ms_id: i64,
    pub seq: i64,
    pub sender: String,
    pub sender_name: Option<String>,
    pub ms_type: String,
    /// Empty if the message is recalled.
    pub preview: Value,
    pub recalled: bool,
    pub server_time: OffsetDateTime,
}

/// Where a page ended, and when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub pinned: bool,
    pub unread: bool,
    pub sorted_at: OffsetDateTime,
    pub channel_id: i64,
    pub read_at: OffsetDateTime,
}

/// One page after `place`, and the place of the next page, if there is one.
pub async fn list(
    store: &Store,
    caller: &str,
    place: Option<Place>,
    limit: i64,
) -> Result<(Vec<Conversation>, Option<Place>)> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql!("conversation/list")).await?;
    let pinned = place.as_ref().map(|p| p.pinned);
    let unread = place.as_ref().map(|p| p.unread);
    let sorted_at = place.as_ref().map(|p| p.sorted_at);
    let channel_id = place.as_ref().map(|p| p.channel_id);
    let changed_after = place.as_ref().map(|p| p.read_at - COMMIT_LAG);
    let rows = client
        .query(&statement, &[&caller, &pinned, &unread, &sorted_at, &channel_id, &changed_after, &limit])
        .await?;
    // Changed entries come in addition to the page. Only entries below the place belong to the page.
    let below: Vec<_> = rows.iter().filter(|row| row.get("in_page")).collect();
    let next = below.last().filter(|_| below.len() as i64 == limit).map(|row| Place {
        pinned: row.get("pinned"),
        unread: row.get::<_, i64>("unread_count") > 0,
        sorted_at: row.get("sorted_at"),
        channel_id: row.get("channel_id"),
        read_at: row.get("now"),
    });
    Ok((rows.iter().map(conversation).collect(), next))
}

fn conversation(row: &tokio_postgres::Row) -> Conversation {
    let last_message = row.get::<_, bool>("last_is_visible").then(|| LastMessage {
        ms_id: row.get("last_ms_id"),
        seq: row.get("last_seq"),
        sender: row.get("last_sender"),
        sender_name: row.get("last_sender_name"),
        ms_type: row.get("last_type"),
        preview: row.get("last_preview"),
        recalled: row.get("last_is_recalled"),
        server_time: row.get("last_server_time"),
    });
    Conversation {
        channel_id: row.get("channel_id"),
        channel_type: row.get("channel_type"),
        name: row.get("channel_name"),
        picture: row.get("picture"),
        announcement: row.get("announcement"),
        unread_count: row.get("unread_count"),
        read_seq: row.get("read_seq"),
        last_seq: row.get("last_seq"),
        last_message,
        sorted_at: row.get("sorted_at"),
        pinned: row.get("pinned"),
        muted: row.get("muted"),
        mute_until: row.get("mute_until"),
        remark: row.get("remark"),
    }
}
