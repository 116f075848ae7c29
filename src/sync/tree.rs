//! The department tree: computed from the parents in all records, in any order.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// A department with the parent in its record and its parent in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub department_id: String,
    pub source_parent_id: Option<String>,
    pub parent_id: Option<String>,
}

/// The tree: each department's parent, and an order with parents before children.
pub struct Tree<'a> {
    /// Departments that have a parent in their record and are not below it.
    parked: HashSet<&'a str>,
    parents_first: Vec<&'a Node>,
}

impl<'a> Tree<'a> {
    /// A department is below the parent in its record if that parent exists. In a circle, the department with
    /// the lowest id goes to the top. So the tree does not depend on the order of the records, and a parked
    /// department moves when its parent appears.
    pub fn of(nodes: &'a [Node]) -> Self {
        let known: HashMap<&str, &Node> = nodes.iter().map(|n| (n.department_id.as_str(), n)).collect();
        let parent_of = |node: &Node| node.source_parent_id.as_deref().and_then(|id| known.get(id).copied());
        let mut parked: HashSet<&str> = HashSet::new();
        // Sorted by id, so that children and circles are always found in the same order.
        let mut children: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        let mut at: VecDeque<&Node> = VecDeque::new();
        for node in nodes {
            match parent_of(node) {
                Some(parent) => {
                    _ = children.entry(&parent.department_id).or_default().insert(&node.department_id)
                }
                None => at.push_back(node),
            }
        }
        parked.extend(at.iter().filter(|n| n.source_parent_id.is_some()).map(|n| n.department_id.as_str()));
        at.make_contiguous().sort_by(|a, b| a.department_id.cmp(&b.department_id));
        let mut left: BTreeSet<&str> = known.keys().copied().collect();
        let mut parents_first = Vec::with_capacity(nodes.len());
        loop {
            while let Some(node) = at.pop_front() {
                if !left.remove(node.department_id.as_str()) {
                    continue;
                }
                parents_first.push(node);
                at.extend(
                    children.get(node.department_id.as_str()).into_iter().flatten().map(|id| known[id]),
                );
            }
            // The departments left are in a circle or below one. Walking up from any of them ends in the
            // circle.
            let Some(first) = left.first().copied() else { break };
            let cut = first_of_circle(known[first], parent_of);
            parked.insert(&cut.department_id);
            at.push_back(cut);
        }
        Self { parked, parents_first }
    }

    /// The parent of a department in the tree.
    pub fn parent(&self, node: &'a Node) -> Option<&'a str> {
        node.source_parent_id.as_deref().filter(|_| !self.parked.contains(node.department_id.as_str()))
    }

    /// Whether a department is parked at the top, because its parent is missing or in a circle with it.
    pub fn is_parked(&self, department_id: &str) -> bool {
        self.parked.contains(department_id)
    }

    /// All departments, parents first.
    pub fn parents_first(&self) -> &[&'a Node] {
        &self.parents_first
    }
}

fn first_of_circle<'a>(from: &'a Node, parent_of: impl Fn(&Node) -> Option<&'a Node>) -> &'a Node {
    let mut seen = HashSet::new();
    let mut at = from;
    while seen.insert(at.department_id.as_str()) {
        at = parent_of(at).unwrap_or(at);
    }
    let (end, mut first) = (at, at);
    loop {
        at = parent_of(at).unwrap_or(end);
        if at.department_id < first.department_id {
            first = at;
        }
        if at.department_id == end.department_id {
            return first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Tree};

    fn nodes(links: &[(&str, Option<&str>)]) -> Vec<Node> {
        let node = |(id, parent): &(&str, Option<&str>)| Node {
            department_id: (*id).to_owned(),
            source_parent_id: parent.map(str::to_owned),
            parent_id: None,
        };
        links.iter().map(node).collect()
    }

    fn placed(links: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        let nodes = nodes(links);
        let tree = Tree::of(&nodes);
        assert_eq!(tree.parents_first().len(), nodes.len());
        let mut placed: Vec<_> =
            nodes.iter().map(|n| (n.department_id.clone(), tree.parent(n).map(str::to_owned))).collect();
        for (at, node) in tree.parents_first().iter().enumerate() {
            if let Some(parent) = tree.parent(node) {
                assert!(
                    tree.parents_first()[..at].iter().any(|n| n.department_id == parent),
                    "parents first"
                );
            }
        }
        placed.sort();
        placed
    }

    fn pairs(expected: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        expected.iter().map(|(id, parent)| ((*id).to_owned(), parent.map(str::to_owned))).collect()
    }

    #[test]
    fn whoever_has_no_parent_yet_is_parked_at_the_top_with_all_below() {
        let links = [("a", Some("x")), ("b", Some("a"))];
        assert_eq!(placed(&links), pairs(&[("a", None), ("b", Some("a"))]));
        let nodes = nodes(&links);
        let tree = Tree::of(&nodes);
        assert!(tree.is_parked("a") && !tree.is_parked("b"));
    }

    #[test]
    fn a_circle_is_cut_at_the_same_place_whatever_came_first() {
        let links =
            [("b", Some("c")), ("c", Some("a")), ("a", Some("b")), ("d", Some("b")), ("e", Some("e"))];
        let expected =
            pairs(&[("a", None), ("b", Some("c")), ("c", Some("a")), ("d", Some("b")), ("e", None)]);
        let mut order = links;
        for _ in 0..5 {
            order.rotate_left(1);
            assert_eq!(placed(&order), expected);
        }
    }
}
