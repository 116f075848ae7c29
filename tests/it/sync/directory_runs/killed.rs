//! SIGKILL of whoever runs, at any moment of a run.

use serde_json::json;

use crate::app::{LONG, text};
use crate::support::{Client, Hr, Service, shared};

const PEOPLE: usize = 3_000;
const DEPARTMENTS: usize = 20;
const ROUNDS: usize = 6;
/// Somebody is as the source had them at one time, in name, department and membership alike.
const HALF: &str = "SELECT count(*) FROM t_im_user u \
     WHERE right(name, 1) <> right(title, 1) OR department_id <> 'd' || (right(name, 1)::int + external_id::int % 19)::text \
        OR ARRAY(SELECT d.department_id FROM t_im_department_user d WHERE d.user_id = u.user_id) <> ARRAY[department_id]";

/// Everybody is renamed, moved and given another title.
fn turn(hr: &Hr, round: usize) {
    let mut books = hr.books();
    for person in 0..PEOPLE {
        let digit = round % 10;
        books.put(json!({"id": format!("{person:04}"), "name": format!("n{person} {digit}"), "title": format!("t{digit}"),
                         "department_ids": [format!("d{}", digit + person % 19)]}));
    }
}

#[tokio::test]
async fn nobody_is_ever_half_changed_and_the_run_ends_as_if_nothing_had_happened() {
    let hr = Hr::start().await;
    for department in 0..DEPARTMENTS + 10 {
        hr.books().put_department(json!({"id": format!("d{department}"), "name": "D"}));
    }
    turn(&hr, 0);
    let database = crate::app::database().await;
    let sql = shared().connect(&database).await;
    let url = shared().url(&database);
    let pairs = hr.pairs();
    let mut settings: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let quick = [
        ("database_url", url.as_str()),
        ("poll_ms", "20"),
        ("lease_ms", "500"),
        ("log", "warn,im_push_gateway=info"),
    ];
    settings.extend(quick);
    settings.push(("directory_page_size", "300"));
    let mut service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let mut places = std::collections::BTreeSet::new();
    for round in 0..ROUNDS {
        turn(&hr, round);
        let desk = Client::new(&service.api(), "desk", &["directory"]);
        let mode = if round % 2 == 0 { "full" } else { "incremental" };
        let run_id = text(&desk.post("/directory/sync", json!({"mode": mode})).await.expect(202)["run_id"]);
        let state = "SELECT CASE WHEN state = 'applying' AND applied > 0 THEN 'applying' WHEN state = 'asked' AND staged > 0 \
                     THEN 'listening' ELSE state END, token IS NOT NULL FROM t_im_directory_run WHERE run_id = $1::text::bigint";
        // Killed once while it listens, and once while it applies.
        for place in ["listening", "applying"] {
            let begun = std::time::Instant::now();
            loop {
                assert!(begun.elapsed() < LONG, "it never comes to {place}");
                let row = sql.query_one(state, &[&run_id]).await.expect("a run");
                let at: String = row.get(0);
                if at == place || at == "done" {
                    places.insert(at);
                    break;
                }
                tokio::task::yield_now().await;
            }
            service.kill9();
            let half: i64 = sql.query_one(HALF, &[]).await.expect("a count").get(0);
            assert_eq!(half, 0, "killed while {place}");
            service.restart().await;
        }
        let begun = std::time::Instant::now();
        loop {
            let ended: i64 = sql
                .query_one("SELECT count(*) FROM t_im_directory_run WHERE ended_at IS NULL", &[])
                .await
                .expect("a count")
                .get(0);
            if ended == 0 {
                break;
            }
            assert!(begun.elapsed() < LONG, "the run does not end");
            tokio::task::yield_now().await;
        }
        let of_round = format!("SELECT count(*) FROM t_im_user WHERE name LIKE '% {}'", round % 10);
        let there: i64 = sql.query_one(&of_round, &[]).await.expect("a count").get(0);
        assert_eq!(there, PEOPLE as i64, "everybody is as they are at the source");
        let half: i64 = sql.query_one(HALF, &[]).await.expect("a count").get(0);
        assert_eq!(half, 0);
    }
    assert!(places.contains("listening") && places.contains("applying"), "{places:?}");
}
