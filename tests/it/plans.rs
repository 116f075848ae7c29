//! The plan of each statement on a database without statistics: no plan compares each row of one relation with each of
//! another. Such a plan is fast as long as a table is small, and its cost is the product of both sizes.

use serde_json::json;

use crate::app::{TestApp, store, text};
use crate::cost::{COUNTED, costs, plan_of, statements};

/// Statements that compare rows one by one, and why few rows are there.
const FEW: &[(&str, &str)] = &[
    ("cli/support/tables", "the tables of the service, for one support archive"),
    ("sync/apply/apply_users", "the three kinds of change"),
    ("delivery/push/replay_events", "the settings of one observer, by its key"),
    (
        "events/sequence",
        "the actors of one batch of events, and only for observers that filter by department",
    ),
    ("identity/account/see", "one session and one account, each by its key"),
    ("records/outbox/receipts_done", "a step of receipts (RECEIPTS_STEP) with the receivers of one page"),
];
/// The members that a group has, and those who are added.
const MEMBERS: usize = 5_000;
/// Most buffers that all statements together touch for each added user.
const BUFFERS: f64 = 60.0;
/// Most buffers that the count of members touches for each user whom it looks up.
const LOOKUP: usize = 6;

/// The relations whose columns a part of a condition names.
fn relations(part: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let words = part.split(|c: char| !is_name(c)).filter_map(|word| word.split_once('.'));
    words
        .filter(|(relation, _)| relation.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|(relation, _)| relation)
        .collect()
}

/// A condition without the texts in it, which can look like columns.
fn without_texts(condition: &str) -> String {
    condition.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

/// The two sides of each comparison for equality in a condition.
fn equalities(condition: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = condition.split(" AND ").flat_map(|part| part.split(" OR "));
    // An array is searched, not a relation.
    parts.filter_map(|part| part.split_once(" = ")).filter(|(_, right)| !right.starts_with("ANY ("))
}

/// Whether a condition compares a column of one relation with one of another.
fn compares_relations(condition: &str) -> bool {
    equalities(&without_texts(condition)).any(|(left, right)| {
        let (left, right) = (relations(left), relations(right));
        left.iter().any(|one| right.iter().any(|other| one != other))
    })
}

/// Whether a scan's condition compares its own column, which a plan shows without a relation, with one of another.
fn compares_scanned(condition: &str) -> bool {
    let is_own = |side: &str| {
        let side = side.trim_start_matches("Filter: ").trim_start_matches(['(', ' ']);
        relations(side).is_empty() && side.starts_with(|c: char| c.is_ascii_lowercase())
    };
    equalities(condition).any(|(left, right)| {
        is_own(left) && !relations(right).is_empty() || is_own(right) && !relations(left).is_empty()
    })
}

/// The conditions of a plan that are checked for each pair of rows: join filters of nested loops, and filters of scans that
/// look for the row of another relation without an index.
fn products(plan: &str) -> Vec<&str> {
    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
    let is_product = |at: &usize| {
        let line = lines[*at];
        let node = lines[..*at].iter().rposition(|line| line.contains("  (cost=")).unwrap_or(0);
        if line.starts_with("Join Filter: ") {
            return lines[node].contains("Nested Loop") && compares_relations(line);
        }
        let is_scan = lines[node].contains(" Scan ")
            && !["Function Scan", "Subquery Scan"].iter().any(|kind| lines[node].contains(kind));
        let by_key = lines[node + 1..(*at).max(node + 1)].iter().any(|line| !relations(line).is_empty());
        line.starts_with("Filter: ") && is_scan && !by_key && compares_scanned(line)
    };
    (0..lines.len()).filter(is_product).map(|at| lines[at]).collect()
}

#[tokio::test]
async fn no_plan_without_statistics_compares_all_rows_with_all_others() {
    let store = store().await;
    let all = statements();
    for (name, reason) in FEW {
        assert!(all.values().any(|(named, _)| named == name), "{name} is gone, which was exempt: {reason}");
    }
    let mut wrong = Vec::new();
    // COPY has no plan, and the list of released migrations is no statement.
    let has_plan =
        |name: &str, text: &str| name.contains('/') && !text.lines().any(|line| line.starts_with("COPY "));
    let planned = all.values().filter(|(name, text)| has_plan(name, text));
    for (name, statement) in planned.filter(|(name, _)| FEW.iter().all(|(few, _)| few != name)) {
        let plan = plan_of(&store, statement).await;
        let products = products(&plan);
        if !products.is_empty() {
            wrong.push(format!("{name} compares row by row: {products:#?}\n{plan}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "look rows up by key (see CONTRIBUTING.md, The form of statements)\n{}",
        wrong.join("\n")
    );
}

#[tokio::test]
async fn a_plan_that_compares_all_rows_is_found() {
    let store = store().await;
    let (_, sound) =
        statements().into_values().find(|(name, _)| name == "chat/channel/count_joined").unwrap();
    // As it was once: 20,000 users who joined 20,000 members took more than 20 seconds.
    let joined = sound.replace(" OFFSET 0)", ")");
    assert_ne!(sound, joined);
    assert_eq!(products(&plan_of(&store, &joined).await), ["Join Filter: (m.user_id = given.user_id)"]);
    assert_eq!(products(&plan_of(&store, &sound).await), [""; 0]);

    // No index has the external id of a problem, and the plan has no join.
    let scanned = "SELECT ARRAY(SELECT p.problem_id FROM t_im_directory_problem p \
                   WHERE p.run_id = $1 AND p.external_id = u.external_id) FROM t_im_user u";
    assert_eq!(products(&plan_of(&store, scanned).await), ["Filter: (external_id = u.external_id)"]);
}

#[tokio::test]
async fn adding_many_users_to_a_large_group_costs_the_same_for_each_without_statistics() {
    let mut app = TestApp::start().await;
    app.sql().await.batch_execute(COUNTED).await.expect("PostgreSQL's contrib is there");
    app.halt().await;
    app.run().await;
    app.people(&["boss"]).await;
    let crowd = app.crowd(2 * MEMBERS as i64).await;
    let (first, more) = crowd.split_at(MEMBERS);
    let boss = app.person("boss");
    let made = boss.post("/groups", json!({"name": "all", "members": first})).await.expect(201);
    let channel = text(&made["channel_id"]);

    // The count of members, by what the server did.
    let (_, counting) =
        statements().into_values().find(|(name, _)| name == "chat/channel/count_joined").unwrap();
    let client = app.store.client().await.unwrap();
    client.batch_execute(&format!("PREPARE it AS {counting}")).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS) EXECUTE it({channel}, '{{{}}}')", more.join(","));
    let rows = client.query(&explain, &[]).await.unwrap();
    client.batch_execute("DEALLOCATE it").await.unwrap();
    drop(client);
    let plan = rows.iter().fold(String::new(), |plan, row| plan + row.get::<_, &str>(0) + "\n");
    assert!(!plan.contains("Rows Removed by Join Filter"), "{plan}");
    let buffers = plan.lines().find(|line| line.contains("Buffers: ")).unwrap_or_else(|| panic!("{plan}"));
    let touched: usize = buffers.split(['=', ' ']).filter_map(|word| word.parse::<usize>().ok()).sum();
    assert!(touched < LOOKUP * MEMBERS, "{touched} buffers\n{plan}");

    // The whole call.
    costs(&app).await;
    boss.post(&format!("/channels/{channel}/members"), json!({"user_ids": more})).await.expect(200);
    let costs = costs(&app).await;
    let all: f64 = costs.values().map(|cost| cost.buffers).sum();
    let each = all / MEMBERS as f64;
    assert!(each < BUFFERS, "{each} buffers for each added user: {costs:#?}");
    let members = format!("SELECT member_count::bigint FROM t_im_channel WHERE channel_id = {channel}");
    assert_eq!(app.count(&members, &[]).await, 2 * MEMBERS as i64 + 1);
}
