//! Reads resources: one, or a page that matches a filter (RFC 7644 §3.4).

use std::cmp::Ordering;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, UtcOffset};

use super::error::{Error, Result};
use super::filter::{Anchor, Filter};
use super::schema::{AttributePath, GROUPS, Kind, ResourceType, TYPES, USERS};
use super::shown::Shown;
use super::{Scim, group, user};
use crate::base::store::Statements;
use crate::base::text::fold;
use crate::sql;

/// Default and maximum size of a page.
const PAGE: usize = 100;
pub const PAGE_MAX: usize = 1_000;
/// Most resources that one filter or order may read, and how many are read at once.
const LOOKED_AT_MAX: usize = 250_000;
const LOOK: i64 = 1_000;

/// A search request.
#[derive(Debug, Default)]
pub struct Query {
    pub filter: Option<String>,
    pub sort_by: Option<String>,
    pub descending: bool,
    /// Starts at 1. Smaller values count as 1.
    pub start_index: Option<i64>,
    pub count: Option<i64>,
    pub shown: Shown,
}

/// One page.
#[derive(Debug)]
pub struct Listing {
    pub total: usize,
    pub start_index: usize,
    pub resources: Vec<Map<String, Value>>,
}

type Resource = Map<String, Value>;
/// A matching resource: its sort key, type and id.
type Found = (Option<String>, &'static ResourceType, String);

/// The URL of a resource.
pub fn located(base: &str, endpoint: &str, id: &str) -> String {
    let mut address = format!("{base}{endpoint}/");
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                address.push(char::from(byte))
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

/// The `meta` attribute of a resource.
pub fn meta(
    kind: &str,
    location: &str,
    (created, changed): (OffsetDateTime, OffsetDateTime),
    version: i64,
) -> Value {
    // A fixed number of digits, so that times sort as text.
    let written = |time: OffsetDateTime| {
        let time = time.to_offset(UtcOffset::UTC);
        let (date, (h, m, s, micro)) = (time.date(), time.to_hms_micro());
        format!("{date}T{h:02}:{m:02}:{s:02}.{micro:06}Z")
    };
    json!({
        "resourceType": kind,
        "created": written(created),
        "lastModified": written(changed),
        "location": location,
        "version": format!("W/\"{version}\""),
    })
}

impl Scim<'_> {
    /// Returns one resource.
    pub async fn get(&self, kind: &'static ResourceType, id: &str) -> Result<Resource> {
        let client = self.store.client().await?;
        self.load(&client, kind, &[id], true).await?.pop().ok_or_else(Error::not_found)
    }

    /// Lists resources of one type, or of all types.
    pub async fn list(&self, kind: Option<&'static ResourceType>, query: &Query) -> Result<Listing> {
        let start = usize::try_from(query.start_index.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
        let count = query.count.map_or(PAGE, |count| usize::try_from(count.max(0)).unwrap_or(PAGE_MAX));
        let count = count.min(PAGE_MAX);
        let kinds: Vec<&'static ResourceType> = kind.map_or_else(|| TYPES.to_vec(), |kind| vec![kind]);
        let (total, found) = if query.filter.is_none() && query.sort_by.is_none() {
            self.page(&kinds, start - 1, count).await?
        } else {
            let found = self.matching(&kinds, query).await?;
            let total = found.len();
            (total, found.into_iter().skip(start - 1).take(count).map(|(_, kind, id)| (kind, id)).collect())
        };
        let client = self.store.client().await?;
        let mut resources = Vec::with_capacity(found.len());
        for run in found.chunk_by(|(one, _), (other, _)| one == other) {
            let kind = run[0].0;
            let ids: Vec<&str> = run.iter().map(|(_, id)| id.as_str()).collect();
            let loaded = self.load(&client, kind, &ids, query.shown.shows(kind, "members")).await?;
            let short = loaded.len() < ids.len();
            resources.extend(loaded.into_iter().map(|resource| query.shown.project(kind, resource)));
            // Too many members end the page early. The next page continues there.
            if short {
                break;
            }
        }
        Ok(Listing { total, start_index: start, resources })
    }

    /// Loads the resources with these ids, in this order.
    pub(super) async fn load(
        &self,
        client: &impl Statements,
        kind: &'static ResourceType,
        ids: &[&str],
        with_members: bool,
    ) -> Result<Vec<Resource>> {
        if kind == &USERS {
            let people = user::load(client, ids, self.groups()).await?;
            return Ok(people.iter().map(|person| person.resource(self.base)).collect());
        }
        let groups = group::load(client, self.groups(), ids, with_members).await?;
        Ok(groups.iter().map(|group| group.resource(self.base)).collect())
    }

    /// The total number, and the ids of one page.
    async fn page(
        &self,
        kinds: &[&'static ResourceType],
        skip: usize,
        count: usize,
    ) -> Result<(usize, Vec<(&'static ResourceType, String)>)> {
        let client = self.store.client().await?;
        let (mut total, mut found) = (0, Vec::new());
        for kind in kinds {
            let (before, left) = (skip.saturating_sub(total), count - found.len());
            let (before, left) =
                (i64::try_from(before).unwrap_or(i64::MAX), i64::try_from(left).unwrap_or(0));
            let (all, ids) = if *kind == &USERS {
                let all: i64 = client.one(sql!("sync/scim/count_users"), &[]).await?.get(0);
                (all, client.all(sql!("sync/scim/users_page"), &[&before, &left]).await?)
            } else {
                let all: i64 = client.one(sql!("sync/scim/count_groups"), &[&self.groups()]).await?.get(0);
                (all, client.all(sql!("sync/scim/groups_page"), &[&self.groups(), &before, &left]).await?)
            };
            total += usize::try_from(all).unwrap_or(0);
            found.extend(ids.iter().map(|row| (*kind, row.get(0))));
        }
        Ok((total, found))
    }

    /// All matches, in order.
    async fn matching(&self, kinds: &[&'static ResourceType], query: &Query) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for kind in kinds {
            let filter = match &query.filter {
                Some(text) if kinds.len() == 1 => Some(Filter::parse(text, kind)?),
                Some(text) => Some(Filter::parse_lenient(text, kind)?),
                None => None,
            };
            let by = query.sort_by.as_deref().map(|path| sort_place(kind, path)).transpose()?.flatten();
            self.look(kind, filter.as_ref(), by, &mut found).await?;
        }
        if query.sort_by.is_some() {
            found.sort_by(|(one, ..), (other, ..)| {
                in_order(one.as_deref(), other.as_deref(), query.descending)
            });
        }
        Ok(found)
    }

    /// Applies the filter to candidates from an index, or to all resources.
    async fn look(
        &self,
        kind: &'static ResourceType,
        filter: Option<&Filter>,
        by: Option<AttributePath>,
        found: &mut Vec<Found>,
    ) -> Result<()> {
        let with_members = kind == &GROUPS && filter.is_some_and(|filter| filter.asks_for("members"));
        let client = self.store.client().await?;
        let candidates = self.candidates(&client, kind, filter).await?;
        let anchored = candidates.is_some();
        let mut ids = candidates.unwrap_or_default();
        let (mut looked_at, mut after) = (0, String::new());
        loop {
            if !anchored {
                ids = self.next(&client, kind, &after).await?;
            }
            let Some(last) = ids.last() else { return Ok(()) };
            after.clone_from(last);
            looked_at += ids.len();
            if looked_at > LOOKED_AT_MAX {
                let detail = format!(
                    "the filter must read more than {LOOKED_AT_MAX} resources; make it more specific"
                );
                return Err(Error::too_many(detail));
            }
            for ids in ids.chunks(if with_members { 1 } else { 1_000 }) {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                for resource in self.load(&client, kind, &ids, with_members).await? {
                    if filter.is_none_or(|filter| filter.matches(&resource)) {
                        let id = resource["id"].as_str().unwrap_or_default().to_owned();
                        found.push((by.and_then(|by| sort_key(&by, &resource)), kind, id));
                    }
                }
            }
            if anchored {
                return Ok(());
            }
        }
    }

    /// The ids that an index returns for an equality of the filter, if there is one.
    async fn candidates(
        &self,
        client: &impl Statements,
        kind: &'static ResourceType,
        filter: Option<&Filter>,
    ) -> Result<Option<Vec<String>>> {
        let known_by = |anchor| match (anchor, kind == &USERS) {
            (Anchor::Id, _) => Some("id"),
            (Anchor::ExternalId, _) => Some("external_id"),
            (Anchor::UserName, true) => Some("user_name"),
            (Anchor::Email, true) => Some("email"),
            (Anchor::DisplayName, false) => Some("display_name"),
            (Anchor::Member, false) => Some("member"),
            _ => None,
        };
        let anchor = filter.and_then(Filter::anchor);
        let Some((known_by, value)) = anchor.and_then(|(anchor, value)| Some((known_by(anchor)?, value)))
        else {
            return Ok(None);
        };
        let value = match known_by {
            "user_name" | "email" | "display_name" => fold(value),
            _ => value.to_owned(),
        };
        let rows = if kind == &USERS {
            client.all(sql!("sync/scim/find_users"), &[&known_by, &value]).await?
        } else {
            client.all(sql!("sync/scim/find_groups"), &[&self.groups(), &known_by, &value]).await?
        };
        let mut ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }

    async fn next(&self, client: &impl Statements, kind: &ResourceType, after: &str) -> Result<Vec<String>> {
        let rows = if kind == &USERS {
            client.all(sql!("sync/scim/users_after"), &[&after, &LOOK]).await?
        } else {
            client.all(sql!("sync/scim/groups_after"), &[&self.groups(), &after, &LOOK]).await?
        };
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// The attribute to sort by. A type without the attribute sorts as if it had no value.
fn sort_place(kind: &'static ResourceType, path: &str) -> Result<Option<AttributePath>> {
    let known = TYPES.iter().any(|kind| kind.resolve(path).is_some());
    let place = kind.resolve(path);
    if !known {
        return Err(Error::invalid_value("sortBy must name an attribute"));
    }
    match place {
        Some(AttributePath { attribute, part: None, .. })
            if attribute.kind == Kind::Complex && attribute.value_part().is_none() =>
        {
            Err(Error::invalid_value("sortBy names a complex attribute: name one of its sub-attributes"))
        }
        place => Ok(place),
    }
}

/// The primary value counts, or else the first.
fn sort_key(by: &AttributePath, resource: &Resource) -> Option<String> {
    let values = AttributePath { part: None, ..*by }.values(resource);
    let one = values.iter().find(|value| value["primary"] == true).or(values.first())?;
    let leaf = match by.part {
        Some(part) => &one[part.name],
        None if one.is_object() => &one["value"],
        None => one,
    };
    match leaf {
        Value::String(text) if by.leaf().case_exact => Some(text.clone()),
        Value::String(text) => Some(fold(text)),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Resources without a value come last. In descending order they come first.
fn in_order(one: Option<&str>, other: Option<&str>, descending: bool) -> Ordering {
    let ordering = match (one, other) {
        (Some(one), Some(other)) => one.cmp(other),
        (one, other) => other.is_some().cmp(&one.is_some()),
    };
    if descending { ordering.reverse() } else { ordering }
}
