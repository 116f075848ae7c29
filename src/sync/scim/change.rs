//! Creates, replaces, patches and removes resources. Each change is one transaction with a lock on the
//! directory. Of two concurrent changes, the second sees the result of the first.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::{Error, Refusal, Result};
use super::group::{self, Group};
use super::patch::{Members, Patch, member_ids};
use super::schema::{ENTERPRISE, ResourceType, USERS};
use super::user::{self, Columns, ScimUser};
use super::{SOURCE, Scim};
use crate::base::config::{ScimGroups, ScimUserId};
use crate::base::ids::check_id;
use crate::base::store::{Statements, retrying};
use crate::base::text::fold;
use crate::sql;
use crate::sync::{self, DepartmentRecord, Step, UserRecord};

/// Longest stored JSON of one resource, in bytes.
const TOLD_MAX_BYTES: usize = 65_536;
/// Most members added or removed in one step.
const STEP: usize = 1_000;

/// A change of a resource.
#[derive(Debug)]
pub enum Change {
    Create(Value),
    Replace(Value),
    Patch(Patch),
    Remove,
}

type Document = Map<String, Value>;

impl Scim<'_> {
    /// Changes a resource, or creates one if there is no id. `versions` are the ETags of `If-Match`: the
    /// resource must have one of them. Returns the new resource, or `None` after a removal.
    pub async fn change(
        &self,
        kind: &'static ResourceType,
        id: Option<&str>,
        versions: Option<&[String]>,
        change: &Change,
    ) -> Result<Option<Document>> {
        let outcome = retrying(|| async {
            match self.once(kind, id, versions, change).await {
                Ok(done) => Ok(Ok(done)),
                Err(Error::Refused(refusal)) => Ok(Err(refusal)),
                Err(Error::Failed(e)) => Err(e),
            }
        });
        let outcome: std::result::Result<Option<Document>, Refusal> = outcome.await?;
        outcome.map_err(Error::Refused)
    }

    async fn once(
        &self,
        kind: &'static ResourceType,
        id: Option<&str>,
        versions: Option<&[String]>,
        change: &Change,
    ) -> Result<Option<Document>> {
        let mut client = self.store.client().await.map_err(Error::Failed)?;
        let tx = client.transaction().await?;
        sync::lock(&tx).await?;
        let id = if kind == &USERS {
            self.change_user(&tx, id, versions, change).await?
        } else {
            self.change_group(&tx, id, versions, change).await?
        };
        let after = match id {
            Some(id) => self.load(&tx, kind, &[id.as_str()], true).await?.pop(),
            None => None,
        };
        tx.commit().await?;
        Ok(after)
    }

    async fn change_user(
        &self,
        tx: &Transaction<'_>,
        id: Option<&str>,
        versions: Option<&[String]>,
        change: &Change,
    ) -> Result<Option<String>> {
        let Some(id) = id else {
            let Change::Create(body) = change else { return Err(Error::not_found()) };
            let mut document = USERS.admit(body)?;
            document.entry("active").or_insert(true.into());
            let id = self.new_id(tx, "users", &document).await?;
            self.write_user(tx, None, &id, document).await?;
            return Ok(Some(id));
        };
        let person = user::load(tx, &[id], self.groups()).await?.pop().ok_or_else(Error::not_found)?;
        check_version(versions, person.version)?;
        let document = match change {
            Change::Remove => {
                let gone = UserRecord::gone(id);
                refuse(sync::change_users_in(tx, SOURCE, &[&gone], self.now).await?)?;
                execute(tx, sql!("sync/scim/forget_user"), &[&id]).await?;
                return Ok(None);
            }
            Change::Patch(patch) => {
                let mut document = person.document();
                patch.apply(&USERS, &mut document, &mut Members::default())?;
                document
            }
            Change::Replace(body) | Change::Create(body) => USERS.admit(body)?,
        };
        self.write_user(tx, Some(&person), id, document).await?;
        Ok(Some(id.to_owned()))
    }

    async fn write_user(
        &self,
        tx: &Transaction<'_>,
        before: Option<&ScimUser>,
        id: &str,
        mut document: Document,
    ) -> Result<()> {
        manager_by_id(&mut document);
        check_size(&document)?;
        document = before.and_then(|before| before.told_as(&document)).unwrap_or(document);
        let columns = Columns::of(&document);
        if tx
            .one(sql!("sync/scim/name_taken"), &[&columns.login_name.as_deref().map(fold), &id])
            .await?
            .get(0)
        {
            return Err(Error::uniqueness("another user has this userName"));
        }
        let was_active = before.is_some_and(|before| before.columns.active);
        let works_in = match (self.groups, was_active, columns.active) {
            (ScimGroups::Departments, true, false) => {
                execute(tx, sql!("sync/scim/set_aside"), &[&id]).await?;
                None
            }
            (ScimGroups::Departments, false, true) => {
                Some(tx.one(sql!("sync/scim/take_up"), &[&id]).await?.get("works_in"))
            }
            _ => None,
        };
        let record = columns.record(id, works_in)?;
        refuse(sync::change_users_in(tx, SOURCE, &[&record], self.now).await?)?;
        let version = before.map_or(0, |before| before.version);
        let emails = user::emails(&document);
        execute(tx, sql!("sync/scim/keep_user"), &[&id, &Json(&document), &version, &self.now, &emails]).await
    }

    async fn change_group(
        &self,
        tx: &Transaction<'_>,
        id: Option<&str>,
        versions: Option<&[String]>,
        change: &Change,
    ) -> Result<Option<String>> {
        let kind = &super::schema::GROUPS;
        let Some(id) = id else {
            let Change::Create(body) = change else { return Err(Error::not_found()) };
            let (document, members) = whole_group(kind.admit(body)?)?;
            let id = self.new_id(tx, self.groups(), &document).await?;
            self.write_group(tx, None, &id, (document, members)).await?;
            return Ok(Some(id));
        };
        let group = group::load(tx, self.groups(), &[id], false).await?.pop().ok_or_else(Error::not_found)?;
        check_version(versions, group.version)?;
        let written = match change {
            Change::Remove => {
                self.remove_group(tx, &group).await?;
                return Ok(None);
            }
            Change::Patch(patch) => {
                let (mut document, mut members) = (group.document(), Members::default());
                patch.apply(kind, &mut document, &mut members)?;
                (document, members)
            }
            Change::Replace(body) | Change::Create(body) => whole_group(kind.admit(body)?)?,
        };
        self.write_group(tx, Some(&group), id, written).await?;
        Ok(Some(id.to_owned()))
    }

    async fn write_group(
        &self,
        tx: &Transaction<'_>,
        before: Option<&Group>,
        id: &str,
        (document, members): (Document, Members),
    ) -> Result<()> {
        check_size(&document)?;
        let name = document.get("displayName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let record = DepartmentRecord {
            department_id: id.to_owned(),
            name: Some(name.clone()),
            unset: if before.is_some() { vec!["parent_id", "sort_order"] } else { Vec::new() },
            ..DepartmentRecord::default()
        };
        record.check().map_err(|(_, why)| Error::invalid_value(format!("displayName: {why}")))?;
        let version = before.map_or(0, |before| before.version);
        if self.groups == ScimGroups::Departments {
            refuse(sync::change_departments_in(tx, SOURCE, &[&record], self.now).await?)?;
            let moved = self.change_members(tx, id, members).await?;
            let keep = sql!("sync/scim/keep_department");
            return execute(tx, keep, &[&id, &Json(&document), &version, &moved, &self.now]).await;
        }
        let (keep, folded) = (sql!("sync/scim/keep_group"), fold(&name));
        if before.is_none() {
            execute(tx, keep, &[&id, &name, &Json(&document), &false, &self.now, &folded]).await?;
            self.change_members(tx, id, members).await?;
            return Ok(());
        }
        let moved = self.change_members(tx, id, members).await?;
        execute(tx, keep, &[&id, &name, &Json(&document), &moved, &self.now, &folded]).await
    }

    async fn remove_group(&self, tx: &Transaction<'_>, group: &Group) -> Result<()> {
        let id = group.group_id.as_str();
        if self.groups == ScimGroups::Groups {
            return execute(tx, sql!("sync/scim/remove_group"), &[&id]).await;
        }
        self.change_members(tx, id, Members::of([])).await?;
        let unset = vec!["name", "parent_id", "sort_order"];
        let gone =
            DepartmentRecord { department_id: id.into(), gone: true, unset, ..DepartmentRecord::default() };
        refuse(sync::change_departments_in(tx, SOURCE, &[&gone], self.now).await?)?;
        execute(tx, sql!("sync/scim/forget_department"), &[&id]).await
    }

    /// Returns whether the members have changed.
    async fn change_members(&self, tx: &Transaction<'_>, id: &str, mut members: Members) -> Result<bool> {
        if let Some(bad) = members.add.iter().find(|id| check_id(id).is_err()) {
            let shown: String = bad.chars().take(40).collect();
            return Err(Error::invalid_value(format!("the value of a member must be a user id: {shown:?}")));
        }
        if !members.anew && members.add.is_empty() && members.remove.is_empty() {
            return Ok(false);
        }
        let present = tx.prepare_cached(sql!("sync/scim/member_ids")).await?;
        let present = tx.query(&present, &[&self.groups(), &id]).await?;
        let present: BTreeSet<String> = present.iter().map(|row| row.get(0)).collect();
        if members.anew {
            members.remove = present.difference(&members.add).cloned().collect();
        }
        let joining: Vec<&str> = members.add.difference(&present).map(String::as_str).collect();
        let parting: Vec<&str> = members.remove.intersection(&present).map(String::as_str).collect();
        if joining.is_empty() && parting.is_empty() {
            return Ok(false);
        }
        if self.groups == ScimGroups::Groups {
            execute(tx, sql!("sync/scim/part"), &[&id, &parting]).await?;
            execute(tx, sql!("sync/scim/join"), &[&id, &joining]).await?;
        } else {
            self.move_people(tx, id, &joining, true).await?;
            self.move_people(tx, id, &parting, false).await?;
        }
        Ok(true)
    }

    /// Updates the departments of users. Users who are inactive or unknown wait.
    async fn move_people(&self, tx: &Transaction<'_>, id: &str, people: &[&str], join: bool) -> Result<()> {
        let works_in = tx.prepare_cached(sql!("sync/scim/works_in")).await?;
        for step in people.chunks(STEP) {
            let rows = tx.query(&works_in, &[&step]).await?;
            let mut records = Vec::with_capacity(rows.len());
            let mut present: BTreeSet<&str> = BTreeSet::new();
            for row in &rows {
                let (user_id, mut works_in): (&str, Vec<String>) = (row.get("user_id"), row.get("works_in"));
                present.insert(user_id);
                works_in.retain(|department| department != id);
                if join {
                    works_in.push(id.to_owned());
                }
                records.push(moved(user_id, works_in)?);
            }
            let records: Vec<&UserRecord> = records.iter().collect();
            refuse(sync::change_users_in(tx, SOURCE, &records, self.now).await?)?;
            let absent: Vec<&str> = step.iter().copied().filter(|id| !present.contains(id)).collect();
            if join {
                execute(tx, sql!("sync/scim/wait"), &[&id, &absent]).await?;
            } else {
                execute(tx, sql!("sync/scim/stop_waiting"), &[&id, &step]).await?;
            }
        }
        Ok(())
    }

    /// The id of a new user, department or group. It is the client's own id, if the settings say so and the
    /// id was never used.
    async fn new_id(&self, tx: &Transaction<'_>, of: &str, document: &Document) -> Result<String> {
        let attribute = match self.user_id {
            ScimUserId::ExternalId => "externalId",
            ScimUserId::UserName if of == "users" => "userName",
            ScimUserId::UserName => "externalId",
            ScimUserId::Generated => return Ok(Uuid::now_v7().to_string()),
        };
        let wanted = document.get(attribute).and_then(Value::as_str).filter(|id| check_id(id).is_ok());
        if let Some(wanted) = wanted
            && !tx.one(sql!("sync/scim/id_taken"), &[&of, &wanted]).await?.get::<_, bool>(0)
        {
            return Ok(wanted.to_owned());
        }
        Ok(Uuid::now_v7().to_string())
    }
}

/// A record that changes only the departments of a user.
fn moved(user_id: &str, works_in: Vec<String>) -> Result<UserRecord> {
    let unset = sync::USER_ATTRIBUTES.iter().copied().filter(|a| *a != "department_ids").collect();
    let record = UserRecord { department_ids: works_in, unset, ..UserRecord::of(user_id, user_id) };
    record.check().map_err(|(_, why)| Error::invalid_value(format!("a member's Groups {why}")))?;
    Ok(record)
}

/// A whole Group, and its members separately.
fn whole_group(mut document: Document) -> Result<(Document, Members)> {
    let members = document.remove("members").map_or_else(|| Ok(Vec::new()), |list| member_ids(&list))?;
    Ok((document, Members::of(members)))
}

/// The URL of a manager is derived from the id, and the id from the URL.
fn manager_by_id(document: &mut Document) {
    let manager = document.get_mut(ENTERPRISE).and_then(|extension| extension.get_mut("manager"));
    if let Some(manager) = manager.and_then(Value::as_object_mut)
        && let Some(link) = manager.remove("$ref")
        && let Some(id) = link.as_str().and_then(|link| link.rsplit('/').next())
    {
        manager.entry("value").or_insert(id.into());
    }
}

fn check_size(document: &Document) -> Result<()> {
    if serde_json::to_vec(document).is_ok_and(|json| json.len() <= TOLD_MAX_BYTES) {
        return Ok(());
    }
    Err(Error::invalid_value(format!(
        "a resource can have at most {TOLD_MAX_BYTES} bytes without its members"
    )))
}

fn check_version(versions: Option<&[String]>, version: i64) -> Result<()> {
    let present = format!("W/\"{version}\"");
    match versions {
        Some(versions) if !versions.iter().any(|tag| tag == "*" || *tag == present) => {
            Err(Error::changed_meanwhile())
        }
        _ => Ok(()),
    }
}

/// A record that the directory refuses conflicts with data that the SCIM client cannot see.
fn refuse(step: Step) -> Result<()> {
    match step.refused.into_iter().next() {
        Some((.., reason)) => Err(Error::uniqueness(reason)),
        None => Ok(()),
    }
}

async fn execute(
    tx: &Transaction<'_>,
    statement: &str,
    params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<()> {
    let statement = tx.prepare_cached(statement).await?;
    tx.execute(&statement, params).await?;
    Ok(())
}
