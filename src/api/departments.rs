//! `/departments`: the tree, the users of a department, its grants and its group.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::wire::{
    LIMIT_MAX, MaybeJson, Page, PageQuery, PathPair, PathWord, Query, check_limit, read_cursor, rfc3339,
};
use super::{Api, Authenticated, Now, Viewer};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::number::ChannelId;
use crate::chat::channel::department::{self as groups, Group, NewGroup};
use crate::identity::Role;
use crate::people::departments::{
    self, Department, DepartmentCursor, DepartmentUser, DepartmentUsers, Grant, no_department,
};

/// Entries on a page when the caller gives no `limit`.
const LIMIT_DEFAULT: i64 = 50;

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/departments", get(level))
        .route("/departments/{department_id}", get(show))
        .route("/departments/{department_id}/users", get(users))
        .route("/departments/{department_id}/grants", get(grants))
        .route("/departments/{department_id}/grants/{user_id}", put(grant).delete(revoke))
        .route("/departments/{department_id}/group", get(group).post(create_group))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelQuery {
    parent_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersQuery {
    below: Option<bool>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDepartmentGroup {
    name: Option<String>,
    below: Option<bool>,
    owner: Option<String>,
    who_sends: Option<String>,
}

#[derive(Serialize)]
struct DepartmentView {
    department_id: String,
    name: String,
    parent_id: Option<String>,
    sort_order: i32,
    people_count: i32,
    has_children: bool,
}

#[derive(Serialize)]
struct DepartmentCard {
    #[serde(flatten)]
    department: DepartmentView,
    path: Vec<Above>,
}

#[derive(Serialize)]
struct Above {
    department_id: String,
    name: String,
}

#[derive(Serialize)]
struct DepartmentUserView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    kind: String,
    title: Option<String>,
    main: bool,
}

#[derive(Serialize)]
struct GrantView {
    user_id: String,
    name: String,
    granted_by: String,
    #[serde(with = "rfc3339")]
    granted_at: OffsetDateTime,
}

#[derive(Serialize)]
struct GroupView {
    channel_id: ChannelId,
    department_id: String,
    below: bool,
    name: Option<String>,
    owner: Option<String>,
    member_count: i32,
    left_out: i32,
    #[serde(with = "rfc3339")]
    create_time: OffsetDateTime,
}

impl From<Department> for DepartmentView {
    fn from(d: Department) -> Self {
        Self {
            department_id: d.department_id,
            name: d.name,
            parent_id: d.parent_id,
            sort_order: d.sort_order,
            people_count: d.people_count,
            has_children: d.has_children,
        }
    }
}

impl DepartmentView {
    fn cursor(&self) -> DepartmentCursor {
        let (name, department_id) = (self.name.clone(), self.department_id.clone());
        DepartmentCursor { sort_order: self.sort_order, name, department_id }
    }
}

impl From<DepartmentUser> for DepartmentUserView {
    fn from(w: DepartmentUser) -> Self {
        Self {
            user_id: w.user_id,
            name: w.name,
            head_icon: w.head_icon,
            kind: w.kind,
            title: w.title,
            main: w.main,
        }
    }
}

impl From<Grant> for GrantView {
    fn from(g: Grant) -> Self {
        Self { user_id: g.user_id, name: g.name, granted_by: g.granted_by, granted_at: g.granted_at }
    }
}

impl From<Group> for GroupView {
    fn from(g: Group) -> Self {
        Self {
            channel_id: g.channel_id,
            department_id: g.department_id,
            below: g.below,
            name: g.name,
            owner: g.owner,
            member_count: g.member_count,
            left_out: g.left_out,
            create_time: g.create_time,
        }
    }
}

/// Checks the department id in a path. An invalid id is reported as not found.
fn check_path(department_id: &str) -> Result<()> {
    check_id(department_id).map_err(|_| no_department())
}

async fn level(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Query(query): Query<LevelQuery>,
) -> Result<Reply<Page<DepartmentView>>> {
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    if let Some(parent_id) = &query.parent_id {
        check_id(parent_id).map_err(|reason| Error::parameter("parent_id", reason))?;
    }
    let after: DepartmentCursor = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let (viewer, parent_id, after) = (viewer.external(), query.parent_id.as_deref(), &after);
    let found = api
        .read(move |store| async move { departments::level(&store, viewer, parent_id, after, limit).await })
        .await?;
    let items = found.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(items, limit, DepartmentView::cursor)))
}

async fn show(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathWord(id): PathWord,
) -> Result<Reply<DepartmentCard>> {
    check_path(&id)?;
    let (viewer, id) = (viewer.external(), id.as_str());
    let (department, path) =
        api.read(move |store| async move { departments::get(&store, viewer, id).await }).await?;
    let path = path.into_iter().map(|(department_id, name)| Above { department_id, name }).collect();
    Ok(Reply(DepartmentCard { department: department.into(), path }))
}

async fn users(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathWord(id): PathWord,
    Query(query): Query<UsersQuery>,
) -> Result<Reply<Page<DepartmentUserView>>> {
    check_path(&id)?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let (viewer, id, below, after) =
        (viewer.external(), id.as_str(), query.below.unwrap_or_default(), after.as_str());
    let workers = DepartmentUsers { below, after, limit };
    let found =
        api.read(move |store| async move { departments::users(&store, viewer, id, workers).await }).await?;
    let items = found.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(items, limit, |w: &DepartmentUserView| w.user_id.clone())))
}

async fn grants(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(id): PathWord,
    Query(page): Query<PageQuery>,
) -> Result<Reply<Page<GrantView>>> {
    caller.must_be(Role::Directory)?;
    check_path(&id)?;
    let limit = page.limit()?;
    let after: String = page.cursor()?.unwrap_or_default();
    let grants = departments::grants(&api.store, &id, &after, limit).await?;
    let items = grants.into_iter().map(Into::into).collect();
    Ok(Reply(Page::new(items, limit, |g: &GrantView| g.user_id.clone())))
}

async fn grant(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathPair(id, user_id): PathPair<String, String>,
) -> Result<StatusCode> {
    caller.must_be(Role::Directory)?;
    check_path(&id)?;
    check_id(&user_id).map_err(|_| Error::not_found("no such user"))?;
    departments::grant(&api.store, &id, &user_id, &caller.0.user_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(
    State(api): State<Api>,
    caller: Authenticated,
    PathPair(id, user_id): PathPair<String, String>,
) -> Result<StatusCode> {
    caller.must_be(Role::Directory)?;
    check_path(&id)?;
    check_id(&user_id).map_err(|_| Error::not_found("no such user"))?;
    departments::revoke(&api.store, &id, &user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn group(
    State(api): State<Api>,
    caller: Authenticated,
    PathWord(id): PathWord,
) -> Result<Reply<GroupView>> {
    caller.must_be(Role::Directory)?;
    check_path(&id)?;
    Ok(Reply(groups::get(&api.store, &id).await?.into()))
}

async fn create_group(
    State(api): State<Api>,
    caller: Authenticated,
    Now(now): Now,
    PathWord(id): PathWord,
    MaybeJson(new): MaybeJson<NewDepartmentGroup>,
) -> Result<impl IntoResponse> {
    caller.must_be(Role::Directory)?;
    check_path(&id)?;
    let owner = new.owner.as_deref().unwrap_or(&caller.0.user_id);
    let (name, below) = (new.name.as_deref(), new.below.unwrap_or_default());
    let who_sends = new.who_sends.as_deref();
    let new = NewGroup { department_id: &id, name, below, owner, who_sends };
    let (group, is_new) = groups::create(&api.store, new, api.config.chat.group_max_members, now).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Reply(GroupView::from(group))))
}
