//! A message by its id, with what was said around it: for those who see it, hot and cold.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;

fn seqs(page: &Value) -> Vec<i64> {
    page["items"].as_array().expect("items").iter().map(|m| m["seq"].as_i64().expect("a seq")).collect()
}

/// A message and what is around it; the message stands at its position.
async fn around(app: &TestApp, person: &str, ms_id: &str, each: i64) -> Value {
    let page = app.person(person).get(&format!("/messages/{ms_id}?around={each}")).await.expect(200);
    let position = page["position"].as_u64().expect("a position") as usize;
    assert_eq!(page["items"][position]["ms_id"], ms_id);
    page
}

/// The same in every state: with messages on both sides, at the ends, and for those who do not see it.
async fn check(app: &TestApp, channel: &str, ms_ids: &[String]) {
    let last = ms_ids.len() as i64;
    let middle = around(app, "ann", &ms_ids[9], 3).await;
    assert_eq!(seqs(&middle), [13, 12, 11, 10, 9, 8, 7]);
    // From here on in both directions, with the cursors of the channel.
    let next = async |cursor: &Value, limit: i64| {
        let path = format!("/channels/{channel}/messages?limit={limit}&cursor={}", text(cursor));
        seqs(&app.person("ann").get(&path).await.expect(200))
    };
    assert_eq!(next(&middle["older_cursor"], 3).await, [6, 5, 4]);
    assert_eq!(next(&middle["newer_cursor"], 3).await, [14, 15, 16]);

    let first = around(app, "ann", &ms_ids[0], 2).await;
    assert_eq!((seqs(&first), &first["older_cursor"]), (vec![3, 2, 1], &Value::Null));
    let newest = around(app, "ann", &ms_ids[ms_ids.len() - 1], 2).await;
    assert_eq!((seqs(&newest), &newest["newer_cursor"]), (vec![last, last - 1, last - 2], &Value::Null));
    let alone = app.person("ann").get(&format!("/messages/{}", ms_ids[4])).await.expect(200);
    assert_eq!((seqs(&alone), alone["position"].as_i64()), (vec![5], Some(0)));
    assert_eq!(next(&alone["older_cursor"], 2).await, [4, 3]);
    assert_eq!(next(&alone["newer_cursor"], 2).await, [6, 7]);
    assert_eq!(alone["items"][0]["sender_name"], "ANN");

    // Who joined later sees nothing earlier, and who is not in the channel sees nothing.
    let joined = around(app, "dee", &ms_ids[16], 10).await;
    assert_eq!((seqs(&joined), &joined["older_cursor"]), ((16..=last).rev().collect(), &Value::Null));
    for (person, ms_id) in [("dee", &ms_ids[14]), ("stranger", &ms_ids[4]), ("stranger", &ms_ids[16])] {
        app.person(person).get(&format!("/messages/{ms_id}?around=5")).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_message_is_found_by_its_id_with_what_is_around_it_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "dee", "stranger"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let mut ms_ids = Vec::new();
    for i in 1..=11 {
        ms_ids.push(text(&aged.say("ann", &channel, &format!("old {i}")).await["ms_id"]));
    }
    aged.settled().await;
    aged.app.clock("0").await;
    for i in 12..=15 {
        ms_ids.push(text(&aged.say("bob", &channel, &format!("new {i}")).await["ms_id"]));
    }
    let path = format!("/channels/{channel}/members");
    aged.person("ann").post(&path, json!({"user_ids": ["dee"]})).await.expect(200);
    for i in 16..=20 {
        ms_ids.push(text(&aged.say("bob", &channel, &format!("newer {i}")).await["ms_id"]));
    }
    aged.settled().await;
    check(&aged, &channel, &ms_ids).await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 9, "a page can cross the horizon");
    check(&aged, &channel, &ms_ids).await;
}

#[tokio::test]
async fn what_is_no_message_is_not_found_and_a_wrong_number_is_told() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let ms_id = text(&app.say("ann", &channel, "a slip").await["ms_id"]);
    let ann = app.person("ann");
    for id in ["1", "0", "x", "9223372036854775807"] {
        ann.get(&format!("/messages/{id}")).await.expect_problem(404, "not-found");
    }
    for around in ["-1", "101", "x", ""] {
        let refused = ann.get(&format!("/messages/{ms_id}?around={around}")).await;
        assert_eq!(refused.expect_problem(400, "invalid-parameter")["pointer"], "around");
    }
    app.person("ann").post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    let page = ann.get(&format!("/messages/{ms_id}")).await.expect(200);
    assert_eq!(
        (&page["items"][0]["content"], &page["items"][0]["recalled"]["by"]),
        (&json!({}), &json!("ann"))
    );
}

/// A message that the caller may not see, and one that does not exist, have the same answer. Else the answer would tell
/// which messages exist.
#[tokio::test]
async fn a_message_of_others_is_answered_as_one_that_does_not_exist() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "dee", "stranger"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let cold = text(&aged.say("ann", &channel, "old").await["ms_id"]);
    aged.settled().await;
    aged.app.clock("0").await;
    let hot = text(&aged.say("ann", &channel, "new").await["ms_id"]);
    let members = json!({"user_ids": ["dee"]});
    aged.person("ann").post(&format!("/channels/{channel}/members"), members).await.expect(200);
    aged.settled().await;
    aged.move_all().await;
    let absent = |ms_id: &str| (ms_id.parse::<i64>().expect("an id") - 1).to_string();
    // dee joined after both.
    for person in ["stranger", "dee"] {
        for ms_id in [&hot, &cold] {
            for (ask, path) in [
                ("get", ""),
                ("get", "?around=5"),
                ("get", "/receipts"),
                ("post", "/recall"),
                ("post", "/nudge"),
            ] {
                let answer = async |ms_id: &str| {
                    let (client, path) = (aged.person(person), format!("/messages/{ms_id}{path}"));
                    let reply = match ask {
                        "get" => client.get(&path).await,
                        _ => client.post(&path, json!(null)).await,
                    };
                    let mut problem = reply.expect_problem(404, "not-found");
                    problem.as_object_mut().expect("a problem").remove("request_id");
                    problem
                };
                assert_eq!(answer(ms_id).await, answer(&absent(ms_id)).await, "{person} {path}");
            }
        }
    }
}
