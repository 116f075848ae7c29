//! A step of staged records applied: people and departments, where they belong, and what is told of it.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use time::OffsetDateTime;

use super::tree::{Node, Tree};
use crate::error::Result;
use crate::presence;
use crate::sql;

/// Staged rows of one run after one and up to another.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    pub run_id: i64,
    pub after: i64,
    pub up_to: i64,
}

/// What a step has come to.
#[derive(Debug, Default)]
pub struct Step {
    /// Row, id and reason of each record that was not applied.
    pub refused: Vec<(i64, String, String)>,
    /// Departments that wait at the top for the parent they were told.
    pub parked: Vec<String>,
}

/// Held by whoever changes the directory, to the end of the transaction: changes come one after another,
/// because what is not told is read, then written back.
pub async fn lock(tx: &Transaction<'_>) -> Result<()> {
    let statement = tx.prepare_cached(sql!("directory/lock")).await?;
    tx.query(&statement, &[]).await?;
    Ok(())
}

/// Applies people. The directory is locked.
pub async fn users(tx: &Transaction<'_>, rows: Rows, now: OffsetDateTime) -> Result<Step> {
    let statement = tx.prepare_cached(sql!("directory/apply_users")).await?;
    let row = tx.query_one(&statement, &[&rows.run_id, &rows.after, &rows.up_to, &now]).await?;
    let left: Vec<&str> = row.get("left_ids");
    presence::drop_leavers(tx, &left, now).await?;
    let Json(refused) = row.get("refused");
    Ok(Step { refused, parked: Vec::new() })
}

/// Applies departments, then hangs them where all that was told says. The directory is locked.
pub async fn departments(tx: &Transaction<'_>, rows: Rows, now: OffsetDateTime) -> Result<Step> {
    let statement = tx.prepare_cached(sql!("directory/apply_departments")).await?;
    let row = tx.query_one(&statement, &[&rows.run_id, &rows.after, &rows.up_to, &now]).await?;
    let Json(refused) = row.get("refused");
    let Json(changed): Json<HashMap<String, String>> = row.get("changed");
    let parked = place(tx, changed, now).await?;
    Ok(Step { refused, parked })
}

/// Returns which of the changed ones are parked.
async fn place(
    tx: &Transaction<'_>,
    mut changed: HashMap<String, String>,
    now: OffsetDateTime,
) -> Result<Vec<String>> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let statement = tx.prepare_cached(sql!("directory/departments")).await?;
    let rows = tx.query(&statement, &[]).await?;
    let node = |row: &tokio_postgres::Row| Node {
        department_id: row.get("department_id"),
        told_parent_id: row.get("told_parent_id"),
        parent_id: row.get("parent_id"),
    };
    let nodes: Vec<Node> = rows.iter().map(node).collect();
    let tree = Tree::of(&nodes);
    let parked = changed.keys().filter(|id| tree.is_parked(id)).cloned().collect();
    let (mut moving, mut parents, mut told, mut actions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for node in tree.parents_first() {
        let (id, parent) = (node.department_id.as_str(), tree.parent(node));
        let moves = parent != node.parent_id.as_deref();
        if moves {
            moving.push(id);
            parents.push(parent);
        }
        let action = changed.remove(id).or_else(|| moves.then(|| "updated".to_owned()));
        if let Some(action) = action {
            told.push(id);
            actions.push(action);
        }
    }
    // What is left of them is not in the tree any more.
    let removed: Vec<(String, String)> = changed.into_iter().collect();
    told.extend(removed.iter().map(|(id, _)| id.as_str()));
    actions.extend(removed.iter().map(|(_, action)| action.clone()));
    let statement = tx.prepare_cached(sql!("directory/place")).await?;
    tx.execute(&statement, &[&moving, &parents, &told, &actions, &now]).await?;
    Ok(parked)
}
