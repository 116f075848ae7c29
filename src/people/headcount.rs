//! The headcount of departments, with all below them. It is counted again when the directory changes.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::base::error::Result;
use crate::base::store::{REPEATABLE, Statements, Store, retrying};
use crate::base::worker::{Pace, Tick, Work};
use crate::sql;

const FOLLOWER: &str = "people_count";
/// A sync changes the directory many times a second. Counting takes at most a tenth of the time.
const REST: u32 = 9;

/// Counts heads. It can run on every replica.
pub struct Headcount {
    store: Store,
    pace: Pace,
}

impl Headcount {
    pub fn new(store: Store) -> Self {
        Self { store, pace: Pace::new(REST) }
    }
}

impl Work for Headcount {
    /// Counts if the directory has changed, unless it counted just now.
    async fn tick(&self) -> Result<Tick> {
        if !self.pace.is_resting() {
            let began = Instant::now();
            if count(&self.store).await? {
                self.pace.rest_since(began);
            }
        }
        Ok(Tick::Idle)
    }
}

/// Returns whether there was anything to count. The count is at least as new as the stored revision.
pub async fn count(store: &Store) -> Result<bool> {
    let client = store.client().await?;
    let Some(row) = client.opt(sql!("people/headcount/behind"), &[&FOLLOWER]).await? else {
        return Ok(false);
    };
    let revision: i64 = row.get("revision");
    let rows = client.all(sql!("people/headcount/departments"), &[]).await?;
    let parents = rows.iter().map(|row| (row.get("department_id"), row.get("parent_id"))).collect();
    let workplaces = client.all(sql!("people/headcount/workplaces"), &[]).await?;
    let workplaces =
        workplaces.iter().map(|row| (row.get::<_, Vec<&str>>("department_ids"), row.get::<_, i64>("people")));
    let counts = add_up(&parents, workplaces);
    drop(client);
    retrying(|| store_counts(store, revision, &counts)).await?;
    Ok(true)
}

/// The headcount of each department with all below it. `parents`: the parent of each department. `people`:
/// how many users work in each set of departments.
fn add_up<'a>(
    parents: &HashMap<&'a str, Option<&'a str>>,
    workplaces: impl Iterator<Item = (Vec<&'a str>, i64)>,
) -> HashMap<&'a str, i64> {
    let mut counts: HashMap<&str, i64> = parents.keys().map(|id| (*id, 0)).collect();
    let mut counted: HashSet<&str> = HashSet::new();
    for (departments, people) in workplaces {
        counted.clear();
        for department in departments {
            let mut at = Some(department);
            // A user of two departments counts once in each common ancestor.
            while let Some(id) = at.filter(|id| parents.contains_key(id) && counted.insert(id)) {
                counts.entry(id).and_modify(|count| *count += people);
                at = parents.get(id).copied().flatten();
            }
        }
    }
    counts
}

async fn store_counts(store: &Store, revision: i64, counts: &HashMap<&str, i64>) -> Result<()> {
    let (departments, people): (Vec<&str>, Vec<i32>) =
        counts.iter().map(|(id, people)| (*id, i32::try_from(*people).unwrap_or(i32::MAX))).unzip();
    let mut client = store.client().await?;
    let tx = client.transaction().await?;
    tx.batch_execute(REPEATABLE).await?;
    tx.run(sql!("people/headcount/keep_counts"), &[&FOLLOWER, &revision, &departments, &people]).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_works_twice_below_a_department_counts_once() {
        let parents =
            HashMap::from([("top", None), ("a", Some("top")), ("b", Some("top")), ("b1", Some("b"))]);
        let workplaces = [
            (vec!["a"], 3),
            (vec!["b1"], 2),
            (vec!["a", "b1"], 1),
            (vec!["b", "b1", "top"], 1),
            (vec!["nowhere"], 7),
            (vec!["a", "nowhere"], 1),
        ];
        let counts = add_up(&parents, workplaces.into_iter());
        let of = |id: &str| counts[id];
        assert_eq!((of("top"), of("a"), of("b"), of("b1")), (8, 5, 4, 4));
        assert_eq!(counts.len(), 4);
    }
}
