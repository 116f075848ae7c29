//! Whoever sends edits is killed when HR has taken one and nobody was told.

use serde_json::json;

use super::{PENDING, assert_guarded, hr};
use crate::app::database;
use crate::support::{Client, Hr, Mood, Service, shared};

#[tokio::test]
async fn a_service_that_is_killed_between_sending_and_writing_down_sends_nothing_twice_unguarded() {
    let hr = hr().await;
    let database = shared().url(&database().await);
    let settings = settings(&hr, &database);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut service = Service::start(env!("CARGO_BIN_EXE_im-push-gateway"), &settings).await;
    let desk = Client::new(&service.api(), "desk", &["directory"]);
    let sql = tokio_postgres::connect(&database, tokio_postgres::NoTls).await.expect("the database");
    let (sql, connection) = sql;
    tokio::spawn(connection);
    let count = async |query: &str| -> i64 { sql.query_one(query, &[]).await.expect("a count").get(0) };
    let until = async |query: &str, wanted: i64| {
        for _ in 0..3_000 {
            if count(query).await == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("never {wanted}: {query}\n{}", service_log(&hr));
    };
    desk.post("/directory/sync", json!({})).await.expect(202);
    until("SELECT count(*) FROM t_im_directory_run WHERE state = 'done'", 1).await;
    for round in 1..=3 {
        // HR takes it, and we are dead before it can say so.
        hr.books().moods.push_back(Mood::Lost);
        let path = format!("/users/e{round}");
        desk.patch(&path, json!({"phone": format!("{round}02")})).await.expect(202);
        desk.patch(&path, json!({"title": "architect"})).await.expect(202);
        for _ in 0..3_000 {
            if hr.books().moods.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        service.kill9();
        assert!(hr.books().moods.is_empty(), "it was sent");
        assert_eq!(count("SELECT count(*) FROM t_im_directory_edit WHERE state = 'sent'").await, 1);
        service.restart().await;
        until(PENDING, 0).await;
    }
    assert_eq!(count("SELECT count(*) FROM t_im_directory_edit WHERE state = 'applied'").await, 6);
    let here =
        "SELECT count(*) FROM t_im_user WHERE title = 'architect' AND phone = right(user_id, 1) || '02'";
    assert_eq!(count(here).await, 3);
    assert_guarded(&hr);
    for round in 1..=3 {
        let id = format!("e{round}");
        let books = hr.books();
        let of: Vec<_> =
            books.patches.iter().filter(|p| p.id == id && p.body.get("phone").is_some()).collect();
        assert_eq!(of.len(), 2, "{of:?}");
        assert_eq!(
            (&of[0].if_match, of[1].status),
            (&of[1].if_match, Some(412)),
            "the same, and it was stale"
        );
        assert_eq!(books.of(&id, "phone"), json!(format!("{round}02")));
    }
}

fn service_log(hr: &Hr) -> String {
    format!("{:?}", hr.books().patches)
}

fn settings(hr: &Hr, database: &str) -> Vec<(String, String)> {
    let settings = [
        ("database_url", database),
        ("lease_ms", "500"),
        ("poll_ms", "50"),
        ("directory_source", "http"),
        ("directory_schedule", ""),
        ("directory_full_schedule", ""),
        ("directory_token_parameter", "since"),
        ("directory_timeout_ms", "500"),
        ("directory_edit_retry_base_ms", "20"),
        ("directory_user_fields", "external_id=/id,version=/etag,name=/name,phone=/phone,title=/title"),
    ];
    let lines = hr.write_settings();
    let addresses = lines
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(key, _)| key.ends_with("_url") || key.ends_with("authorization"))
        .map(|(key, value)| (key.replace('.', "_"), value.trim_matches('"').to_owned()));
    let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    settings.chain(addresses).collect()
}
