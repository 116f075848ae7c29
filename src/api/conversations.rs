//! `/conversations`: the conversation list of a user.

use std::collections::HashSet;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::wire::{Page, PageQuery, Query, rfc3339, write_cursor};
use super::{Api, Person};
use crate::base::error::{Error, Result};
use crate::base::number::{self, ChannelId, MsId};
use crate::records::conversation::{self, Conversation, LastMessage, ListPosition, Listed, Peer};

pub fn routes() -> Router<Api> {
    Router::new().route("/conversations", get(list))
}

#[derive(Serialize)]
pub struct ConversationView {
    channel_id: ChannelId,
    #[serde(rename = "type")]
    channel_type: String,
    name: Option<String>,
    picture: Option<String>,
    announcement: Option<String>,
    peer: Option<PeerView>,
    unread_count: i64,
    read_seq: i64,
    last_seq: i64,
    mentioned_seq: Option<i64>,
    last_message: Option<LastMessageView>,
    #[serde(with = "rfc3339")]
    sorted_at: OffsetDateTime,
    pinned: bool,
    muted: bool,
    #[serde(with = "rfc3339::option")]
    mute_until: Option<OffsetDateTime>,
    remark: Option<String>,
}

/// The other user of a direct channel.
#[derive(Serialize)]
struct PeerView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    kind: String,
    online: bool,
}

#[derive(Serialize)]
struct LastMessageView {
    ms_id: MsId,
    seq: i64,
    sender: String,
    sender_name: Option<String>,
    #[serde(rename = "type")]
    ms_type: String,
    preview: Value,
    recalled: bool,
    #[serde(with = "rfc3339")]
    server_time: OffsetDateTime,
}

/// Times are in microseconds, the precision of the database.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    pinned: bool,
    unread: bool,
    sorted_at_us: i64,
    #[serde(with = "number::plain")]
    channel_id: ChannelId,
    read_at_us: i64,
}

impl Cursor {
    fn position(&self) -> Result<ListPosition> {
        let moment = |us: i64| {
            let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1_000);
            let known = moment.ok().filter(|m| (1970..3000).contains(&m.year()));
            known.ok_or_else(|| Error::parameter("cursor", "must be the `next_cursor` of the previous page"))
        };
        let (sorted_at, read_at) = (moment(self.sorted_at_us)?, moment(self.read_at_us)?);
        Ok(ListPosition {
            pinned: self.pinned,
            unread: self.unread,
            sorted_at,
            channel_id: self.channel_id,
            read_at,
        })
    }
}

impl From<ListPosition> for Cursor {
    fn from(position: ListPosition) -> Self {
        let us = |moment: OffsetDateTime| (moment.unix_timestamp_nanos() / 1_000) as i64;
        let (sorted_at_us, read_at_us) = (us(position.sorted_at), us(position.read_at));
        let ListPosition { pinned, unread, channel_id, .. } = position;
        Self { pinned, unread, sorted_at_us, channel_id, read_at_us }
    }
}

impl From<LastMessage> for LastMessageView {
    fn from(m: LastMessage) -> Self {
        Self {
            ms_id: m.ms_id,
            seq: m.seq,
            sender: m.sender,
            sender_name: m.sender_name,
            ms_type: m.ms_type,
            preview: m.preview,
            recalled: m.recalled,
            server_time: m.server_time,
        }
    }
}

impl PeerView {
    fn new(peer: Peer, online: &HashSet<String>) -> Self {
        let online = online.contains(&peer.user_id);
        Self { user_id: peer.user_id, name: peer.name, head_icon: peer.head_icon, kind: peer.kind, online }
    }
}

impl ConversationView {
    /// `online` has the peers who are online now.
    fn new(c: Conversation, online: &HashSet<String>) -> Self {
        Self {
            channel_id: c.channel_id,
            channel_type: c.channel_type,
            name: c.name,
            picture: c.picture,
            announcement: c.announcement,
            peer: c.peer.map(|peer| PeerView::new(peer, online)),
            unread_count: c.unread_count,
            read_seq: c.read_seq,
            last_seq: c.last_seq,
            mentioned_seq: c.mentioned_seq,
            last_message: c.last_message.map(Into::into),
            sorted_at: c.sorted_at,
            pinned: c.pinned,
            muted: c.muted,
            mute_until: c.mute_until,
            remark: c.remark,
        }
    }
}

/// One page of conversations, and the number of unread messages in all of them.
#[derive(Serialize)]
pub struct ConversationPage {
    unread_total: i64,
    #[serde(flatten)]
    page: Page<ConversationView>,
}

async fn list(
    State(api): State<Api>,
    Person(caller): Person,
    Query(page): Query<PageQuery>,
) -> Result<Reply<ConversationPage>> {
    let position = page.cursor::<Cursor>()?.as_ref().map(Cursor::position).transpose()?;
    page_of(&api, &caller.user_id, position, page.limit()?).await.map(Reply)
}

/// One page of a user's conversations after a position.
pub async fn page_of(
    api: &Api,
    user_id: &str,
    position: Option<ListPosition>,
    limit: i64,
) -> Result<ConversationPage> {
    let Listed { conversations, next, unread_total } =
        conversation::list(&api.store, user_id, position, limit).await?;
    let online = online(api, &conversations).await?;
    let next_cursor = next.map(|position| write_cursor(&Cursor::from(position)));
    let page = Page { items: conversations, next_cursor }.map(|c| ConversationView::new(c, &online));
    Ok(ConversationPage { unread_total, page })
}

/// The peers who are online, by the same rules as `GET /presence`.
async fn online(api: &Api, conversations: &[Conversation]) -> Result<HashSet<String>> {
    let peers: Vec<&str> =
        conversations.iter().filter_map(|c| c.peer.as_ref()).map(|peer| peer.user_id.as_str()).collect();
    if peers.is_empty() {
        return Ok(HashSet::new());
    }
    let statuses = api.presence.of_people(&peers, api.store.now().await?).await?;
    Ok(statuses.into_iter().filter(|status| status.is_online()).map(|status| status.user_id).collect())
}
