//! Whatever order departments and people are told in, the tree at the end is the directory's.

use std::collections::BTreeMap;

use im_push_gateway::sync::{self, DepartmentRecord, UserRecord};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use crate::app;

const DEPARTMENTS: usize = 7;
const PEOPLE: usize = 4;
const CASES: u32 = 40;

/// What is told: a department with its parent, one that is no more, or a person and where they work.
#[derive(Debug, Clone)]
enum Event {
    Department(usize, Option<usize>),
    Gone(usize),
    Person(usize, Vec<usize>, bool),
}

fn event() -> impl Strategy<Value = Event> {
    let parent = prop::option::of(0..DEPARTMENTS);
    let works = prop::collection::vec(0..DEPARTMENTS, 0..3);
    prop_oneof![
        5 => (0..DEPARTMENTS, parent).prop_map(|(d, parent)| Event::Department(d, parent)),
        1 => (0..DEPARTMENTS).prop_map(Event::Gone),
        3 => (0..PEOPLE, works, prop::bool::weighted(0.8)).prop_map(|(p, works, active)| Event::Person(p, works, active)),
    ]
}

fn id(department: usize) -> String {
    format!("d{department}")
}

/// What the directory says in the end of each, and in what order we hear of it: each last word once, among
/// earlier ones that it goes back on.
#[derive(Debug, Clone)]
struct Story {
    heard: Vec<Event>,
    last: Vec<Event>,
}

fn story() -> impl Strategy<Value = Story> {
    let last = prop::collection::vec(event(), 4..16).prop_map(|events| {
        let mut of_each = BTreeMap::new();
        for event in events {
            let key = match &event {
                Event::Department(d, _) | Event::Gone(d) => (0, *d),
                Event::Person(p, ..) => (1, *p),
            };
            of_each.insert(key, event);
        }
        of_each.into_values().collect::<Vec<_>>()
    });
    last.prop_flat_map(|last| {
        let shuffled = Just(last.clone()).prop_shuffle();
        (prop::collection::vec(event(), 0..12), shuffled)
            .prop_map(move |(before, after)| Story { heard: [before, after].concat(), last: last.clone() })
    })
}

type Tree = (Vec<(String, Option<String>)>, Vec<(String, String)>);

async fn tree(
    store: &im_push_gateway::base::store::Store,
    sql: &tokio_postgres::Client,
    told: &[Event],
) -> Tree {
    sql.batch_execute("TRUNCATE t_im_department, t_im_department_user, t_im_user CASCADE")
        .await
        .expect("nothing is left");
    for event in told {
        let now = store.now().await.expect("a clock");
        let (mut departments, mut users) = (Vec::new(), Vec::new());
        match event {
            Event::Department(d, parent) => departments.push((
                0,
                DepartmentRecord {
                    department_id: id(*d),
                    name: Some("D".to_owned()),
                    parent_id: parent.map(id),
                    ..DepartmentRecord::default()
                },
            )),
            Event::Gone(d) => departments.push((0, DepartmentRecord::gone(id(*d)))),
            Event::Person(p, works, active) => users.push((
                0,
                UserRecord {
                    name: Some("P".to_owned()),
                    active: *active,
                    department_ids: works.iter().copied().map(id).collect(),
                    ..UserRecord::of(format!("p{p}"), format!("p{p}"))
                },
            )),
        }
        sync::change(store, "test", departments, users, now).await.expect("a change");
    }
    let departments =
        "SELECT department_id, parent_id FROM t_im_department WHERE removed_at IS NULL ORDER BY 1";
    let works = "SELECT d.user_id, d.department_id FROM t_im_department_user d \
                 JOIN t_im_department t USING (department_id) WHERE t.removed_at IS NULL ORDER BY 1, 2";
    let departments = sql.query(departments, &[]).await.expect("departments");
    let works = sql.query(works, &[]).await.expect("memberships");
    (
        departments.iter().map(|row| (row.get(0), row.get(1))).collect(),
        works.iter().map(|row| (row.get(0), row.get(1))).collect(),
    )
}

#[test]
fn any_order_of_events_ends_in_the_tree_of_the_directory() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(app::database());
    let store = runtime.block_on(async {
        im_push_gateway::base::store::Store::new(&app::config(&database, "")).expect("a store")
    });
    let sql = runtime.block_on(crate::support::shared().connect(&database));
    let mut runner = TestRunner::new(Cases { cases: CASES, failure_persistence: None, ..Cases::default() });
    let result = runner.run(&story(), |Story { heard, last }| {
        let as_heard = runtime.block_on(tree(&store, &sql, &heard));
        let known: Vec<Event> = heard.clone();
        // Whoever was only heard of earlier is as they were heard of last.
        let mut truth: BTreeMap<(u8, usize), Event> = BTreeMap::new();
        for event in known.into_iter().chain(last) {
            let key = match &event {
                Event::Department(d, _) | Event::Gone(d) => (0, *d),
                Event::Person(p, ..) => (1, *p),
            };
            truth.insert(key, event);
        }
        let truth: Vec<Event> = truth.into_values().collect();
        let in_order = runtime.block_on(tree(&store, &sql, &truth));
        prop_assert_eq!(&as_heard, &in_order);
        // By hand: each hangs on the parent it was told, if that one is there, unless a circle is cut.
        for (department, parent) in &as_heard.0 {
            let told = truth.iter().find_map(|event| match event {
                Event::Department(d, told) if id(*d) == *department => Some(told.map(id)),
                _ => None,
            });
            let told = told.flatten().filter(|told| as_heard.0.iter().any(|(there, _)| there == told));
            prop_assert!(*parent == told || parent.is_none() && is_in_circle(&truth, department));
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn is_in_circle(truth: &[Event], department: &str) -> bool {
    let told = |of: &str| {
        truth.iter().find_map(|event| match event {
            Event::Department(d, parent) if id(*d) == of => parent.map(id),
            _ => None,
        })
    };
    let mut at = told(department);
    for _ in 0..=DEPARTMENTS {
        match at {
            Some(up) if up == department => return true,
            Some(up) => at = told(&up),
            None => return false,
        }
    }
    false
}
