//! The conversation list: pinned conversations first, then unread ones, then by latest activity.

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::base::error::Result;
use crate::base::number::{ChannelId, MsId};
use crate::base::store::{Statements, Store};
use crate::sql;

/// A message can be committed this long after its timestamp. Later pages repeat what changed since, so that a
/// moved entry is not missed.
const COMMIT_LAG: Duration = Duration::seconds(5);

/// One conversation of a user.
#[derive(Debug)]
pub struct Conversation {
    pub channel_id: ChannelId,
    pub channel_type: String,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub announcement: Option<String>,
    /// The other user of a direct channel.
    pub peer: Option<Peer>,
    pub unread_count: i64,
    pub read_seq: i64,
    pub last_seq: i64,
    /// The oldest unread message that mentions the user.
    pub mentioned_seq: Option<i64>,
    pub last_message: Option<LastMessage>,
    pub sorted_at: OffsetDateTime,
    pub pinned: bool,
    pub muted: bool,
    /// When it is no longer muted, if that is set.
    pub mute_until: Option<OffsetDateTime>,
    pub remark: Option<String>,
}

#[derive(Debug)]
pub struct Peer {
    pub user_id: String,
    pub name: String,
    pub head_icon: Option<String>,
    pub kind: String,
}

#[derive(Debug)]
pub struct LastMessage {
    pub ms_id: MsId,
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
pub struct ListPosition {
    pub pinned: bool,
    pub unread: bool,
    pub sorted_at: OffsetDateTime,
    pub channel_id: ChannelId,
    pub read_at: OffsetDateTime,
}

/// One page of conversations.
#[derive(Debug)]
pub struct Listed {
    pub conversations: Vec<Conversation>,
    /// The place of the next page, if there is one.
    pub next: Option<ListPosition>,
    /// The number of unread messages in all conversations.
    pub unread_total: i64,
}

/// One page after `place`.
pub async fn list(store: &Store, caller: &str, place: Option<ListPosition>, limit: i64) -> Result<Listed> {
    let pinned = place.as_ref().map(|p| p.pinned);
    let unread = place.as_ref().map(|p| p.unread);
    let sorted_at = place.as_ref().map(|p| p.sorted_at);
    let channel_id = place.as_ref().map(|p| p.channel_id);
    let changed_after = place.as_ref().map(|p| p.read_at - COMMIT_LAG);
    let rows = store
        .all(
            sql!("records/conversation/list"),
            &[&caller, &pinned, &unread, &sorted_at, &channel_id, &changed_after, &limit],
        )
        .await?;
    let unread_total = rows.first().map_or(0, |row| row.get("unread_total"));
    let rows: Vec<_> =
        rows.iter().filter(|row| row.get::<_, Option<ChannelId>>("channel_id").is_some()).collect();
    // Changed entries come in addition to the page. Only entries below the place belong to the page.
    let below: Vec<_> = rows.iter().filter(|row| row.get("in_page")).collect();
    let next = below.last().filter(|_| below.len() as i64 == limit).map(|row| ListPosition {
        pinned: row.get("pinned"),
        unread: row.get::<_, i64>("unread_count") > 0,
        sorted_at: row.get("sorted_at"),
        channel_id: row.get("channel_id"),
        read_at: row.get("now"),
    });
    Ok(Listed { conversations: rows.into_iter().map(conversation).collect(), next, unread_total })
}

/// Deletes a batch of mentions in messages older than `before`.
pub async fn prune_mentions(store: &Store, before: OffsetDateTime, most: i64) -> Result<u64> {
    store.run(sql!("records/conversation/prune_mentions"), &[&before, &most]).await
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
    let peer = row.get::<_, Option<String>>("peer").map(|user_id| Peer {
        user_id,
        name: row.get("peer_name"),
        head_icon: row.get("peer_icon"),
        kind: row.get("peer_kind"),
    });
    Conversation {
        channel_id: row.get("channel_id"),
        channel_type: row.get("channel_type"),
        name: row.get("channel_name"),
        picture: row.get("picture"),
        announcement: row.get("announcement"),
        peer,
        unread_count: row.get("unread_count"),
        read_seq: row.get("read_seq"),
        last_seq: row.get("last_seq"),
        mentioned_seq: row.get("mentioned_seq"),
        last_message,
        sorted_at: row.get("sorted_at"),
        pinned: row.get("pinned"),
        muted: row.get("muted"),
        mute_until: row.get("mute_until"),
        remark: row.get("remark"),
    }
}
