//! Favourites: each user's own, with a note and a copy that stays when the message is cold or no longer seen.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;

const LIST: &str = "/users/me/favourites";

fn of(ms_id: &str) -> String {
    format!("{LIST}/{ms_id}")
}

/// Notes and texts of a user's favourites.
async fn listed(app: &TestApp, user: &str) -> Vec<(Value, Value)> {
    let items = app.all(&app.person(user), &format!("{LIST}?limit=2")).await;
    items.iter().map(|item| (item["note"].clone(), item["message"]["content"]["text"].clone())).collect()
}

#[tokio::test]
async fn a_favourite_keeps_its_copy_when_the_message_is_cold_or_out_of_sight() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "eve"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let mut ids = Vec::new();
    for words in ["一", "二", "三"] {
        ids.push(text(&aged.say("ann", &channel, words).await["ms_id"]));
    }
    let bob = aged.person("bob");
    for (ms_id, note) in ids.iter().zip([json!("第一"), Value::Null, json!("报价，下周用")]) {
        let kept = bob.put(&of(ms_id), json!({"note": note})).await.expect(200);
        assert_eq!((&kept["message"]["ms_id"], &kept["note"]), (&json!(ms_id), &note));
    }
    let wanted = |last: Value| {
        vec![(json!("报价，下周用"), last), (Value::Null, json!("二")), (json!("第一"), json!("一"))]
    };
    assert_eq!(listed(&aged, "bob").await, wanted(json!("三")));
    // Each user has the own ones.
    assert_eq!((listed(&aged, "ann").await, listed(&aged, "eve").await), (vec![], vec![]));
    aged.person("ann").get(&of(&ids[0])).await.expect_problem(404, "not-found");
    aged.person("eve").put(&of(&ids[0]), json!({})).await.expect_problem(404, "not-found");
    aged.settled().await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    assert_eq!(listed(&aged, "bob").await, wanted(json!("三")));
    // A cold message is marked, too.
    aged.person("ann").put(&of(&ids[1]), json!(null)).await.expect(200);
    assert_eq!(listed(&aged, "ann").await, [(Value::Null, json!("二"))]);

    // A recall empties every copy, also a cold one.
    aged.client("root", &["admin"])
        .post(&format!("/messages/{}/recall", ids[2]), json!({}))
        .await
        .expect(200);
    assert_eq!(listed(&aged, "bob").await, wanted(Value::Null));
    let gone = aged.person("bob").get(&of(&ids[2])).await.expect(200)["message"].clone();
    assert_eq!((&gone["content"], &gone["recalled"]["by"]), (&json!({}), &json!("root")));
    let left = "SELECT count(*) FROM t_im_favourite WHERE content = '{}'";
    assert_eq!(aged.count(left, &[]).await, 1);
    aged.person("ann").put(&of(&ids[2]), json!({})).await.expect_problem(409, "conflict");

    // Who leaves keeps the copies, and can change the notes.
    let bob = aged.person("bob");
    bob.post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    let changed = bob.put(&of(&ids[0]), json!({"note": "旧的"})).await.expect(200);
    assert_eq!((&changed["note"], &changed["message"]["content"]["text"]), (&json!("旧的"), &json!("一")));
    bob.delete(&of(&ids[1])).await.expect(204);
    bob.delete(&of(&ids[1])).await.expect(204);
    assert_eq!(
        listed(&aged, "bob").await,
        [(json!("报价，下周用"), Value::Null), (json!("旧的"), json!("一"))]
    );
    bob.put(&of(&ids[1]), json!({})).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn wrong_notes_and_too_many_favourites_are_refused() {
    let app = TestApp::start_with("favourites_max = 2").await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let mut ids = Vec::new();
    for words in ["1", "2", "3"] {
        ids.push(text(&app.say("ann", &channel, words).await["ms_id"]));
    }
    let ann = app.person("ann");
    for note in ["", " \n", &"x".repeat(1_001), "a\u{0}"] {
        let problem = ann.put(&of(&ids[0]), json!({"note": note})).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], "/note");
    }
    assert_eq!(listed(&app, "ann").await, []);
    for ms_id in &ids[..2] {
        ann.put(&of(ms_id), json!({"note": "两行\n字"})).await.expect(200);
    }
    ann.put(&of(&ids[2]), json!({})).await.expect_problem(409, "conflict");
    ann.put(&of(&ids[1]), json!({})).await.expect(200);
    ann.delete(&of(&ids[0])).await.expect(204);
    ann.put(&of(&ids[2]), json!({})).await.expect(200);
    for id in ["1", "x", "0"] {
        ann.put(&of(id), json!({})).await.expect_problem(404, "not-found");
        ann.get(&of(id)).await.expect_problem(404, "not-found");
    }
}
