//! `/users`: search for users, and their cards.

use std::collections::HashMap;

use axum::extract::{MatchedPath, State};
use axum::routing::get;
use axum::{Json as Reply, Router};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::accounts::BESIDE_USERS;
use super::relations::RelationNote;
use super::statuses::UserStatusView;
use super::wire::{LIMIT_MAX, Page, PathWord, Query, check_limit, read_cursor, rfc3339, write_cursor};
use super::{Api, Person, Viewer};
use crate::accounts::profile::{self, Found, Profile, ProfileSearch};
use crate::base::error::{Error, Result};
use crate::base::ids::check_id;
use crate::base::store::Store;
use crate::people::contacts::{self, Card, Contact, ContactCursor, ContactSearch, Workplace};
use crate::people::presence::OnlineStatus;
use crate::people::relation::{self, Relation};
use crate::people::users::UserKind;

/// Users on a page when the caller gives no `limit`.
const LIMIT_DEFAULT: i64 = 50;
/// Most characters of a search text.
const TYPED_MAX_CHARS: usize = 255;

pub fn routes() -> Router<Api> {
    let routes = Router::new()
        .route("/users", get(find))
        .route("/users/me", get(own_card))
        .route("/users/{user_id}", get(card));
    BESIDE_USERS
        .iter()
        .fold(routes, |routes, id| routes.route(&format!("/users/{id}"), get(card_beside_call)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindQuery {
    q: Option<String>,
    department_id: Option<String>,
    kind: Option<String>,
    region: Option<String>,
    tag: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct DepartmentName {
    department_id: String,
    name: String,
}

#[derive(Serialize)]
struct PersonName {
    user_id: String,
    name: String,
}

#[derive(Serialize)]
struct ContactView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    kind: String,
    title: Option<String>,
    department: Option<DepartmentName>,
    /// What the user is to the caller, if there is anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    relation: Option<RelationNote>,
    user_status: Option<UserStatusView>,
}

#[derive(Serialize)]
struct PresenceView {
    status: OnlineStatus,
    #[serde(with = "rfc3339::option")]
    since: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct CardView {
    user_id: String,
    name: String,
    head_icon: Option<String>,
    kind: String,
    active: bool,
    title: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    employee_number: Option<String>,
    login_name: Option<String>,
    departments: Vec<Workplace>,
    manager: Option<PersonName>,
    presence: Option<PresenceView>,
    /// What the user is to the caller, if there is anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    relation: Option<RelationNote>,
    /// What users with an account say about themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<ProfileView>,
    user_status: Option<UserStatusView>,
}

#[derive(Serialize)]
struct ProfileView {
    signature: Option<String>,
    sex: Option<String>,
    birth_year: Option<i16>,
    region: Option<String>,
    tags: Vec<String>,
    #[serde(with = "rfc3339::option")]
    last_seen_at: Option<OffsetDateTime>,
}

impl From<Profile> for ProfileView {
    fn from(profile: Profile) -> Self {
        let Profile { signature, sex, birth_year, region, tags, last_seen_at } = profile;
        Self { signature, sex, birth_year, region, tags, last_seen_at }
    }
}

impl From<Contact> for ContactView {
    fn from(c: Contact) -> Self {
        Self {
            user_id: c.user_id,
            name: c.name,
            head_icon: c.head_icon,
            kind: c.kind,
            title: c.title,
            department: c.department.map(|(department_id, name)| DepartmentName { department_id, name }),
            relation: None,
            user_status: c.status.map(Into::into),
        }
    }
}

impl From<Found> for ContactView {
    fn from(found: Found) -> Self {
        let Found { user_id, name, head_icon, kind, title } = found;
        Self { user_id, name, head_icon, kind, title, department: None, relation: None, user_status: None }
    }
}

impl CardView {
    fn new(card: Card, presence: Option<PresenceView>, relation: Option<RelationNote>) -> Self {
        Self {
            user_id: card.user_id,
            name: card.name,
            head_icon: card.head_icon,
            kind: card.kind,
            active: card.active,
            title: card.title,
            email: card.email,
            phone: card.phone,
            employee_number: card.employee_number,
            login_name: card.login_name,
            departments: card.departments,
            manager: card.manager.map(|(user_id, name)| PersonName { user_id, name }),
            presence,
            relation,
            profile: None,
            user_status: card.status.map(Into::into),
        }
    }
}

impl FindQuery {
    fn check(&self) -> Result<()> {
        if self.q.as_ref().is_some_and(|q| q.chars().count() > TYPED_MAX_CHARS) {
            return Err(Error::parameter("q", format!("must have at most {TYPED_MAX_CHARS} characters")));
        }
        if let Some(department_id) = &self.department_id {
            check_id(department_id).map_err(|reason| Error::parameter("department_id", reason))?;
        }
        if self.kind.as_ref().is_some_and(|kind| UserKind::parse(kind).is_none()) {
            return Err(Error::parameter("kind", "must be internal, external or application"));
        }
        Ok(())
    }
}

async fn find(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    Query(query): Query<FindQuery>,
) -> Result<Reply<Page<ContactView>>> {
    query.check()?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    if query.region.is_some() || query.tag.is_some() {
        return find_by_profile(&api, &viewer, &query, limit).await;
    }
    let after: ContactCursor = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let (typed, department_id) = (query.q.as_deref(), query.department_id.as_deref());
    let search = ContactSearch { typed, department_id, kind: query.kind.as_deref(), limit };
    let (viewer, after) = (&viewer, &after);
    // Both are of one server, so that they tell of the same time.
    let (found, next, mut relations) = api
        .read(move |store| async move {
            let (found, next) = contacts::find(&store, viewer, search, after.clone()).await?;
            let others: Vec<String> = found.iter().map(|contact| contact.user_id.clone()).collect();
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            let relations = relations_of(&store, viewer, &others).await?;
            Ok((found, next, relations))
        })
        .await?;
    let next_cursor = next.map(|place| write_cursor(&place));
    let shown = |contact: Contact| {
        let relation = relations.remove(&contact.user_id).map(Into::into);
        ContactView { relation, ..contact.into() }
    };
    Ok(Reply(Page { items: found, next_cursor }.map(shown)))
}

/// Users by what they say about themselves, where the setting allows it.
async fn find_by_profile(
    api: &Api,
    viewer: &contacts::Viewer,
    query: &FindQuery,
    limit: i64,
) -> Result<Reply<Page<ContactView>>> {
    let others = [("q", &query.q), ("department_id", &query.department_id), ("kind", &query.kind)];
    if let Some((name, _)) = others.iter().find(|(_, given)| given.is_some()) {
        return Err(Error::parameter(*name, "cannot be combined with `region` or `tag`"));
    }
    let search = ProfileSearch {
        region: query.region.as_deref(),
        tag: query.tag.as_deref(),
        external: viewer.external(),
        limit,
    };
    let after: String = query.cursor.as_deref().map(read_cursor).transpose()?.unwrap_or_default();
    let found = api.accounts_on()?.find(search, &after).await?;
    let items = found.into_iter().map(ContactView::from).collect();
    Ok(Reply(Page::new(items, limit, |one: &ContactView| one.user_id.clone())))
}

async fn own_card(State(api): State<Api>, Person(caller): Person) -> Result<Reply<CardView>> {
    let Viewer(viewer) = Viewer::of(&api, &caller).await?;
    card_of(&api, &viewer, &caller.user_id).await
}

async fn card(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    PathWord(user_id): PathWord,
) -> Result<Reply<CardView>> {
    card_of(&api, &viewer, &user_id).await
}

/// The card of a user whose id is the name of a call.
async fn card_beside_call(
    State(api): State<Api>,
    Viewer(viewer): Viewer,
    path: MatchedPath,
) -> Result<Reply<CardView>> {
    card_of(&api, &viewer, path.as_str().rsplit('/').next().unwrap_or_default()).await
}

async fn card_of(api: &Api, viewer: &contacts::Viewer, user_id: &str) -> Result<Reply<CardView>> {
    check_id(user_id).map_err(|_| Error::not_found("no such user"))?;
    let card = contacts::card(&api.store, viewer, user_id).await?;
    let mut presence = None;
    if card.active {
        let statuses = api.presence.of_people(&[user_id], api.store.now().await?).await?;
        presence = statuses.into_iter().next().map(|s| PresenceView { status: s.status, since: s.since });
    }
    let relation = relations_of(&api.store, viewer, &[user_id]).await?.remove(user_id).map(Into::into);
    let profile = match (&api.accounts, card.active) {
        (Some(_), true) => profile::get(&api.store, user_id).await?.map(Into::into),
        _ => None,
    };
    Ok(Reply(CardView { profile, ..CardView::new(card, presence, relation) }))
}

/// What these users are to a viewer who is a user.
async fn relations_of(
    store: &Store,
    viewer: &contacts::Viewer,
    others: &[&str],
) -> Result<HashMap<String, Relation>> {
    match viewer.user_id() {
        Some(user_id) => relation::of_user(store, user_id, others).await,
        None => Ok(HashMap::new()),
    }
}
