//! Key packages of MLS: each is given out once, the last resort again and again, and none of a user who has left.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{TestApp, text};

const MINE: &str = "/users/me/key-packages";

fn packages(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| BASE64_STANDARD.encode(format!("{name} {n}"))).collect()
}

async fn publish(app: &TestApp, user: &str, body: Value) {
    app.person(user).put(MINE, body).await.expect(200);
}

/// The packages that a claim gets: each with whether it is a last resort.
async fn claim(app: &TestApp, claimer: &str, user: &str) -> Vec<(String, bool)> {
    let reply = app.person(claimer).post(&format!("/users/{user}/key-packages/claim"), json!(null)).await;
    let claimed = reply.expect(200);
    let claimed = claimed["key_packages"].as_array().expect("packages").clone();
    claimed.iter().map(|one| (text(&one["key_package"]), one["last_resort"] == true)).collect()
}

/// Every operation once, with success.
pub async fn exercise(app: &TestApp) {
    app.people(&["key-a", "key-b"]).await;
    publish(app, "key-a", json!({"key_packages": packages("a", 1), "device_id": "laptop"})).await;
    app.person("key-a").get(MINE).await.expect(200);
    assert_eq!(claim(app, "key-b", "key-a").await.len(), 1);
    app.person("key-a").delete(MINE).await.expect(204);
}

#[tokio::test]
async fn fifty_claims_at_once_get_fifty_packages() {
    let app = TestApp::start().await;
    let claimers: Vec<String> = (0..10).map(|n| format!("claimer-{n}")).collect();
    let claimers: Vec<&str> = claimers.iter().map(String::as_str).collect();
    app.people(&claimers).await;
    app.people(&["bob"]).await;
    publish(&app, "bob", json!({"key_packages": packages("bob", 50)})).await;
    let claims = (0..50).map(|n| claim(&app, claimers[n % 10], "bob"));
    let claimed: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 50);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 50, "none is given out twice");
    let none = app.person("claimer-0").post("/users/bob/key-packages/claim", json!(null)).await;
    assert_eq!(none.status, 404);
    // A repeat of the call that added them adds none again.
    publish(&app, "bob", json!({"key_packages": packages("bob", 50)})).await;
    let none = app.person("claimer-0").post("/users/bob/key-packages/claim", json!(null)).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_claim_takes_one_of_each_device_and_the_last_resort_when_none_is_left() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let last = BASE64_STANDARD.encode("last");
    let laptop = packages("laptop", 1);
    publish(&app, "bob", json!({"key_packages": laptop, "last_resort": last, "device_id": "laptop"})).await;
    publish(&app, "bob", json!({"key_packages": laptop, "device_id": "laptop"})).await;
    let phone = packages("phone", 2);
    publish(&app, "bob", json!({"key_packages": phone, "device_id": "phone"})).await;
    assert_eq!(claim(&app, "ann", "bob").await, [(laptop[0].clone(), false), (phone[0].clone(), false)]);
    assert_eq!(claim(&app, "ann", "bob").await, [(last.clone(), true), (phone[1].clone(), false)]);
    assert_eq!(claim(&app, "ann", "bob").await, [(last, true)]);
    let left = app.person("bob").get(MINE).await.expect(200);
    assert_eq!(left, json!({"devices": [{"device_id": "laptop", "remaining": 0, "last_resort": true}]}));
    app.person("bob").delete(&format!("{MINE}?device_id=laptop")).await.expect(204);
    assert_eq!(app.person("bob").get(MINE).await.expect(200), json!({"devices": []}));
}

#[tokio::test]
async fn a_claimer_has_a_number_of_claims_an_hour_and_others_have_theirs() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "eve"]).await;
    publish(&app, "bob", json!({"key_packages": packages("bob", 100)})).await;
    let path = "/users/bob/key-packages/claim";
    // A new hour can begin meanwhile: then the claimer has its number once more.
    let mut refused = None;
    for _ in 0..41 {
        let reply = app.person("eve").post(path, json!(null)).await;
        if reply.status != 200 {
            refused = Some(reply.status);
            break;
        }
    }
    assert_eq!(refused, Some(429));
    assert_eq!(claim(&app, "ann", "bob").await.len(), 1);
}

#[tokio::test]
async fn packages_over_a_limit_are_refused_and_none_is_kept() {
    let app = TestApp::start().await;
    app.people(&["bob"]).await;
    let large = BASE64_STANDARD.encode(vec![7; 16_385]);
    for (body, status) in [
        (json!({"key_packages": [large]}), 422),
        (json!({"key_packages": ["no base64"]}), 422),
        (json!({"key_packages": [""]}), 422),
        (json!({"key_packages": packages("bob", 201)}), 409),
    ] {
        assert_eq!(app.person("bob").put(MINE, body).await.status, status);
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_key_package", &[]).await, 0);
}

#[tokio::test]
async fn the_packages_of_a_user_who_leaves_are_gone() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    publish(&app, "bob", json!({"key_packages": packages("bob", 3)})).await;
    let sql = app.sql().await;
    sql.batch_execute("UPDATE t_im_user SET active = false WHERE user_id = 'bob'").await.expect("bob leaves");
    assert_eq!(app.count("SELECT count(*) FROM t_im_key_package", &[]).await, 0);
    let gone = app.person("ann").post("/users/bob/key-packages/claim", json!(null)).await;
    assert_eq!(gone.status, 404);
}
