//! Applies a step of staged records: users, departments, their place in the tree, and events.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use postgres_types::Json;
use time::OffsetDateTime;

use super::tree::{Node, Tree};
use crate::base::error::Result;
use crate::base::store::Statements;
use crate::people::presence;
use crate::sql;

/// Staged rows of one run, after one row and up to another.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    pub run_id: i64,
    pub after: i64,
    pub up_to: i64,
}

/// The result of a step.
#[derive(Debug, Default)]
pub struct Step {
    /// Row, id and reason of each record that was not applied.
    pub refused: Vec<(i64, String, String)>,
    /// Departments parked at the top until their parent exists.
    pub parked: Vec<String>,
}

/// Locks the directory until the transaction ends. Changes run one after another, because unset attributes
/// are read and written back.
pub async fn lock(tx: &Transaction<'_>) -> Result<()> {
    tx.all(sql!("sync/apply/lock"), &[]).await?;
    Ok(())
}

/// Applies users. The caller has locked the directory.
pub async fn users(tx: &Transaction<'_>, rows: Rows, now: OffsetDateTime) -> Result<Step> {
    let row = tx.one(sql!("sync/apply/apply_users"), &[&rows.run_id, &rows.after, &rows.up_to, &now]).await?;
    let left: Vec<&str> = row.get("left_ids");
    presence::drop_leavers(tx, &left, now).await?;
    let Json(refused) = row.get("refused");
    Ok(Step { refused, parked: Vec::new() })
}

/// Applies departments, then moves them in the tree. The caller has locked the directory.
pub async fn departments(tx: &Transaction<'_>, rows: Rows, now: OffsetDateTime) -> Result<Step> {
    let row =
        tx.one(sql!("sync/apply/apply_departments"), &[&rows.run_id, &rows.after, &rows.up_to, &now]).await?;
    let Json(refused) = row.get("refused");
    let Json(changed): Json<HashMap<String, String>> = row.get("changed");
    let parked = set_parents(tx, changed, now).await?;
    Ok(Step { refused, parked })
}

/// Moves departments in the tree. Returns the changed ones that are parked.
async fn set_parents(
    tx: &Transaction<'_>,
    mut changed: HashMap<String, String>,
    now: OffsetDateTime,
) -> Result<Vec<String>> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx.all(sql!("sync/apply/departments"), &[]).await?;
    let node = |row: &tokio_postgres::Row| Node {
        department_id: row.get("department_id"),
        source_parent_id: row.get("source_parent_id"),
        parent_id: row.get("parent_id"),
    };
    let nodes: Vec<Node> = rows.iter().map(node).collect();
    let tree = Tree::of(&nodes);
    let parked = changed.keys().filter(|id| tree.is_parked(id)).cloned().collect();
    let (mut moving, mut parents, mut decided, mut actions) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for node in tree.parents_first() {
        let (id, parent) = (node.department_id.as_str(), tree.parent(node));
        let moves = parent != node.parent_id.as_deref();
        if moves {
            moving.push(id);
            parents.push(parent);
        }
        let action = changed.remove(id).or_else(|| moves.then(|| "updated".to_owned()));
        if let Some(action) = action {
            decided.push(id);
            actions.push(action);
        }
    }
    // The rest are no longer in the tree.
    let removed: Vec<(String, String)> = changed.into_iter().collect();
    decided.extend(removed.iter().map(|(id, _)| id.as_str()));
    actions.extend(removed.iter().map(|(_, action)| action.clone()));
    tx.run(sql!("sync/apply/place"), &[&moving, &parents, &decided, &actions, &now]).await?;
    Ok(parked)
}
