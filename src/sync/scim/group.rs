//! A Group: a department of the tree, or a separate group.

use postgres_types::Json;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::error::Result;
use super::read::{located, meta};
use super::schema::GROUP;
use crate::base::store::Statements;
use crate::sql;

/// Most members of all Groups on a page. A larger Group is alone on its page.
const PAGE_MEMBERS_MAX: i64 = 50_000;

/// A Group as stored in the database.
#[derive(Debug)]
pub struct Group {
    pub group_id: String,
    pub name: String,
    given: Option<Map<String, Value>>,
    pub version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    /// `None` if the request does not ask for members.
    member_ids: Option<Vec<String>>,
}

/// Loads Groups in the given order. With members it may load fewer, but at least one existing Group.
pub async fn load(
    client: &impl Statements,
    groups: &str,
    ids: &[&str],
    with_members: bool,
) -> Result<Vec<Group>> {
    let rows =
        client.all(sql!("sync/scim/groups"), &[&groups, &ids, &with_members, &PAGE_MEMBERS_MAX]).await?;
    Ok(rows.iter().map(Group::of).collect())
}

impl Group {
    fn of(row: &Row) -> Self {
        let given: Option<Json<Map<String, Value>>> = row.get("scim");
        Self {
            group_id: row.get("group_id"),
            name: row.get("name"),
            given: given.map(|Json(given)| given),
            version: row.get("version"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
            member_ids: row.get("member_ids"),
        }
    }

    /// The attributes that a client may change, without the members.
    pub fn document(&self) -> Map<String, Value> {
        let mut document = self.given.clone().unwrap_or_default();
        document.insert("displayName".into(), self.name.clone().into());
        document
    }

    /// The whole resource.
    pub fn resource(&self, base: &str) -> Map<String, Value> {
        let mut resource = self.document();
        let linked = |id: &String| json!({"value": id, "$ref": located(base, "/Users", id), "type": "User"});
        let members: Vec<Value> = self.member_ids.iter().flatten().map(linked).collect();
        if !members.is_empty() {
            resource.insert("members".into(), members.into());
        }
        resource.insert("schemas".into(), json!([GROUP]));
        resource.insert("id".into(), self.group_id.clone().into());
        let times = (self.created_at, self.updated_at);
        resource.insert(
            "meta".into(),
            meta("Group", &located(base, "/Groups", &self.group_id), times, self.version),
        );
        resource
    }
}
