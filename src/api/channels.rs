//! `/channels` and `/groups`: channels and their members.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

use super::wire::{Json, Page, PageQuery, PathId, PathMember, Query, check_client_id_if_any, rfc3339};
use super::{Api, Now, Person, Viewer};
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::chat::channel::group::{self, Change, Joining, NewGroup};
use crate::chat::channel::members::{self, Joiners};
use crate::chat::channel::{
    self, Channel, ChannelType, JoinRule, MemberRole, NewcomersSee, WhoAdds, WhoSends,
};
use crate::identity::Caller;
use crate::people::{contacts, relation};

/// Most members on a page.
const MEMBERS_LIMIT_MAX: i64 = 1_000;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/channels", post(create))
        .route("/channels/{channel_id}", get(show).patch(update).delete(dissolve))
        .route("/channels/{channel_id}/members", get(members).post(add_members))
        .route("/channels/{channel_id}/members/{user_id}", delete(remove_member))
        .route("/channels/{channel_id}/members/{user_id}/role", put(set_role))
        .route("/channels/{channel_id}/leave", post(leave))
        .route("/channels/{channel_id}/owner", post(hand_over))
        .route("/groups", post(create_group))
        .route("/groups/{channel_id}/members", post(add_members))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewChannel {
    #[serde(rename = "type")]
    channel_type: String,
    name: Option<String>,
    picture: Option<String>,
    newcomers_see: Option<String>,
    who_sends: Option<String>,
    description: Option<String>,
    join: Option<String>,
    who_adds: Option<String>,
    findable: Option<bool>,
    encrypted: Option<bool>,
    members: Vec<String>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    client_id: Option<String>,
    name: Option<String>,
    picture: Option<String>,
    newcomers_see: Option<String>,
    who_sends: Option<String>,
    description: Option<String>,
    join: Option<String>,
    who_adds: Option<String>,
    findable: Option<bool>,
    encrypted: Option<bool>,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelChange {
    #[serde(default, deserialize_with = "given")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    picture: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    announcement: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    newcomers_see: Option<String>,
    who_sends: Option<String>,
    join: Option<String>,
    who_adds: Option<String>,
    findable: Option<bool>,
}

/// Distinguishes `null` from an absent field.
pub(super) fn given<'de, D: Deserializer<'de>>(
    de: D,
) -> std::result::Result<Option<Option<String>>, D::Error> {
    Option::deserialize(de).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Users {
    user_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneUser {
    user_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    role: String,
}

#[derive(Serialize)]
pub(super) struct ChannelView {
    channel_id: ChannelId,
    #[serde(rename = "type")]
    channel_type: ChannelType,
    name: Option<String>,
    picture: Option<String>,
    announcement: Option<String>,
    creator: String,
    owner: Option<String>,
    #[serde(with = "rfc3339")]
    create_time: OffsetDateTime,
    newcomers_see: NewcomersSee,
    who_sends: WhoSends,
    description: Option<String>,
    join: JoinRule,
    who_adds: WhoAdds,
    findable: bool,
    encrypted: bool,
    member_count: i32,
    last_seq: i64,
    #[serde(with = "rfc3339::option")]
    dissolved_at: Option<OffsetDateTime>,
    role: MemberRole,
    department_id: Option<String>,
}

#[derive(Serialize)]
struct Added {
    channel: ChannelView,
    added: u64,
}

#[derive(Serialize)]
struct MemberView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    role: MemberRole,
    #[serde(with = "rfc3339")]
    joined_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    silenced_until: Option<OffsetDateTime>,
}

impl From<Channel> for ChannelView {
    fn from(c: Channel) -> Self {
        Self {
            channel_id: c.channel_id,
            channel_type: c.channel_type,
            name: c.name,
            picture: c.picture,
            announcement: c.announcement,
            creator: c.creator,
            owner: c.owner,
            create_time: c.create_time,
            newcomers_see: c.newcomers_see,
            who_sends: c.who_sends,
            description: c.description,
            join: c.join,
            who_adds: c.who_adds,
            findable: c.findable,
            encrypted: c.encrypted,
            member_count: c.member_count,
            last_seq: c.last_seq,
            dissolved_at: c.dissolved_at,
            role: c.role,
            department_id: c.department_id,
        }
    }
}

async fn create(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(new): Json<NewChannel>,
) -> Result<impl IntoResponse> {
    let NewChannel { channel_type, name, picture, newcomers_see, who_sends, description, .. } = new;
    let joining = Joining { join: new.join, who_adds: new.who_adds, findable: new.findable };
    let (members, client_id, encrypted) = (new.members, new.client_id, new.encrypted.unwrap_or_default());
    let group = NewGroup {
        name,
        picture,
        newcomers_see,
        who_sends,
        description,
        joining,
        encrypted,
        members,
        client_id,
    };
    check_client_id_if_any(group.client_id.as_deref())?;
    match ChannelType::parse(&channel_type) {
        Some(ChannelType::Direct) => {
            // These fields have no effect on a direct channel. Their limits still apply.
            group.check()?;
            // The caller may be one of the two members.
            let mut others = group.members.iter().filter(|member| **member != caller.user_id);
            let (Some(other), None) = (others.next(), others.next()) else {
                return Err(Error::field(
                    "/members",
                    "must name exactly one other user for a direct channel",
                ));
            };
            check_seen(&api, &caller, std::slice::from_ref(other), "/members").await?;
            let (id, is_new) =
                channel::direct::open(&api.store, (&caller.user_id, other), encrypted, now).await?;
            opened(&api, &caller, id, is_new).await
        }
        Some(ChannelType::Group) => open_group(&api, &caller, group, now).await,
        None => Err(Error::field("/type", "must be direct or group")),
    }
}

async fn create_group(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    Json(new): Json<Group>,
) -> Result<impl IntoResponse> {
    let Group { client_id, name, picture, newcomers_see, who_sends, description, members, .. } = new;
    let joining = Joining { join: new.join, who_adds: new.who_adds, findable: new.findable };
    let encrypted = new.encrypted.unwrap_or_default();
    let group = NewGroup {
        name,
        picture,
        newcomers_see,
        who_sends,
        description,
        joining,
        encrypted,
        members,
        client_id,
    };
    check_client_id_if_any(group.client_id.as_deref())?;
    open_group(&api, &caller, group, now).await
}

async fn open_group(
    api: &Api,
    caller: &Caller,
    group: NewGroup,
    now: OffsetDateTime,
) -> Result<(StatusCode, Reply<ChannelView>)> {
    // A repeated request can name users who have left since. It must still succeed.
    if let Some(id) = group::made_before(&api.store, &caller.user_id, &group).await? {
        return opened(api, caller, id, false).await;
    }
    check_addable(api, caller, &group.members, "/members").await?;
    let most = api.config.chat.group_max_members;
    let (id, is_new) = group::create(&api.store, &caller.user_id, &group, most, now).await?;
    opened(api, caller, id, is_new).await
}

/// Refuses users that the caller cannot see, as if they did not exist.
async fn check_seen(api: &Api, caller: &Caller, users: &[String], at: &str) -> Result<()> {
    let Viewer(viewer) = Viewer::of(api, caller).await?;
    contacts::check_seen(&api.store, viewer.external(), users, at).await
}

/// Refuses users that the caller cannot see, and users who block the caller.
async fn check_addable(api: &Api, caller: &Caller, users: &[String], at: &str) -> Result<()> {
    check_seen(api, caller, users, at).await?;
    relation::check_not_blocked(&api.store.client().await?, &caller.user_id, users, at).await
}

async fn opened(
    api: &Api,
    caller: &Caller,
    id: ChannelId,
    is_new: bool,
) -> Result<(StatusCode, Reply<ChannelView>)> {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Reply(channel::get(&api.store, id, &caller.user_id).await?.into())))
}

async fn show(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
) -> Result<Reply<ChannelView>> {
    Ok(Reply(channel::get(&api.store, id, &caller.user_id).await?.into()))
}

async fn update(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
    Json(change): Json<ChannelChange>,
) -> Result<Reply<ChannelView>> {
    let ChannelChange { name, picture, announcement, description, newcomers_see, who_sends, .. } = change;
    let joining = Joining { join: change.join, who_adds: change.who_adds, findable: change.findable };
    let change = Change { name, picture, announcement, newcomers_see, who_sends, description, joining };
    group::update(&api.store, id, &caller.user_id, change).await?;
    Ok(Reply(channel::get(&api.store, id, &caller.user_id).await?.into()))
}

async fn dissolve(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(id): PathId<ChannelId>,
) -> Result<StatusCode> {
    group::dissolve(&api.store, id, &caller.user_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn members(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<MemberView>>> {
    let limit = page.limit_up_to(MEMBERS_LIMIT_MAX)?;
    let after: String = page.cursor()?.unwrap_or_default();
    let members = members::list(&api.store, id, &caller.user_id, &after, limit).await?;
    let view = |m: members::Member| MemberView {
        user_id: m.user_id,
        name: m.name,
        head_icon: m.head_icon,
        role: m.role,
        joined_at: m.joined_at,
        silenced_until: m.silenced_until,
    };
    let items = members.into_iter().map(view).collect();
    Ok(Reply(Page::new(items, limit, |m: &MemberView| m.user_id.clone())))
}

async fn add_members(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(id): PathId<ChannelId>,
    Json(users): Json<Users>,
) -> Result<Reply<Added>> {
    if users.user_ids.is_empty() {
        return Err(Error::field("/user_ids", "must name at least one user"));
    }
    check_addable(&api, &caller, &users.user_ids, "/user_ids").await?;
    let joiners = Joiners { users: &users.user_ids, most_members: api.config.chat.group_max_members, now };
    let added = members::add(&api.store, id, &caller.user_id, joiners).await?;
    let channel = channel::get(&api.store, id, &caller.user_id).await?.into();
    Ok(Reply(Added { channel, added }))
}

async fn remove_member(
    State(api): State<Api>,
    Person(caller): Person,
    PathMember(id, user): PathMember,
) -> Result<StatusCode> {
    members::remove(&api.store, id, &caller.user_id, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_role(
    State(api): State<Api>,
    Person(caller): Person,
    PathMember(id, user): PathMember,
    Json(given): Json<NewRole>,
) -> Result<StatusCode> {
    members::set_role(&api.store, id, &caller.user_id, &user, &given.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn leave(
    State(api): State<Api>,
    Person(caller): Person,
    Now(now): Now,
    PathId(id): PathId<ChannelId>,
) -> Result<StatusCode> {
    members::leave(&api.store, id, &caller.user_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hand_over(
    State(api): State<Api>,
    Person(caller): Person,
    PathId(id): PathId<ChannelId>,
    Json(to): Json<OneUser>,
) -> Result<StatusCode> {
    members::hand_over(&api.store, id, &caller.user_id, &to.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
