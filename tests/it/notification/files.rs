//! Notifications whose messages hold a file.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{OPEN, company, counts, notify, words};
use crate::app::{TestApp, text};
use crate::files::put;

async fn can_read(app: &TestApp, user: &str, file_id: &str) -> bool {
    app.person(user).get(&format!("/files/{file_id}")).await.status == 200
}

fn holding(client_id: &str, file_id: &str) -> Value {
    let mut body = words(client_id, json!({"user_ids": ["a", "b"]}));
    (body["type"], body["content"]) = (json!("file"), json!({"file_id": file_id}));
    body
}

#[tokio::test]
async fn each_receiver_reads_the_file_until_the_recall() {
    let app = TestApp::start().await;
    company(&app).await;
    let oa = app.person("oa");
    let file_id = text(&put(&oa, "rules.pdf", b"%PDF-1.7 rules").await["file_id"]);
    assert!(!can_read(&app, "a", &file_id).await);
    let path = notify(&oa, holding("rules", &file_id)).await;
    app.until(OPEN, 0).await;
    app.settled().await;
    assert_eq!(counts(&oa, &path).await, json!({"received": 2}));
    let shown = oa.get(&path).await.expect(200)["content"].clone();
    assert_eq!((&shown["file_id"], &shown["name"]), (&json!(file_id), &json!("rules.pdf")));
    for (user, reads) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(can_read(&app, user, &file_id).await, reads, "{user}");
    }
    oa.delete(&path).await.expect(202);
    app.until(OPEN, 0).await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_file_use", &[]).await, 0);
    assert!(!can_read(&app, "a", &file_id).await && can_read(&app, "oa", &file_id).await);
}

#[tokio::test]
async fn a_file_that_no_message_could_hold_is_refused() {
    let app = TestApp::start().await;
    company(&app).await;
    let oa = app.person("oa");
    let foreign = text(&put(&app.person("a"), "mine.txt", b"mine").await["file_id"]);
    let own = text(&put(&oa, "own.txt", b"own").await["file_id"]);
    let now: OffsetDateTime = app.store.now().await.expect("a clock");
    let at = |days: i64| json!((now + Duration::days(days)).format(&Rfc3339).expect("a time"));
    let mut late = holding("late", &own);
    late["send_at"] = at(8);
    let mut picture = holding("picture", &own);
    picture["type"] = json!("picture");
    for body in [holding("foreign", &foreign), holding("missing", "999"), late.clone(), picture] {
        let problem = oa.post("/notifications", body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], "/content/file_id", "{body}");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_notification", &[]).await, 0);
    late["send_at"] = at(6);
    notify(&oa, late).await;
}

#[tokio::test]
async fn a_repeat_needs_neither_the_file_nor_the_time_of_the_first_call() {
    let app = TestApp::start().await;
    company(&app).await;
    let oa = app.person("oa");
    let file_id = text(&put(&oa, "rules.pdf", b"%PDF-1.7 rules").await["file_id"]);
    let now: OffsetDateTime = app.store.now().await.expect("a clock");
    let mut body = holding("rules", &file_id);
    body["expires_at"] = json!((now + Duration::days(1)).format(&Rfc3339).expect("a time"));
    let first = oa.post("/notifications", body.clone()).await.expect(202);
    app.until(OPEN, 0).await;
    app.settled().await;
    let sql = app.sql().await;
    sql.execute("UPDATE t_im_file SET owner = 'a'", &[]).await.expect("the file is of another user");
    sql.execute("DELETE FROM t_im_file_use", &[]).await.expect("no message holds it");
    assert!(!can_read(&app, "oa", &file_id).await);
    let again = oa.post("/notifications", body.clone()).await.expect(200);
    assert_eq!(again["notification_id"], first["notification_id"]);
    body["content"]["file_id"] = json!("999");
    oa.post("/notifications", body).await.expect_problem(409, "client-id-reused");
}
