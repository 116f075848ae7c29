//! Who has not read, and the counts of many messages: in one call, for those who may see them, hot and cold.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;
use crate::support::{Answer, Client};

/// Receivers of a message with these statuses, page by page.
async fn receivers(client: &Client, ms_id: &str, status: &str) -> Vec<(String, String)> {
    let base = format!("/messages/{ms_id}/receipts?limit=2&status={status}");
    let (mut found, mut path) = (Vec::new(), base.clone());
    loop {
        let page = client.get(&path).await.expect(200);
        let items = page["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| (text(&item["receiver"]), text(&item["status"]))));
        let total = ["unreceived", "received", "read"].map(|s| page["counts"][s].as_i64().expect("a count"));
        assert_eq!(total.iter().sum::<i64>(), 4, "the counts are of all receivers: {page}");
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("{base}&cursor={cursor}"),
            None => break,
        }
    }
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(who, status)| ((*who).to_owned(), (*status).to_owned())).collect()
}

/// What every caller gets of these messages: the same while they are hot and when they are cold.
async fn check(app: &TestApp, channel: &str, ms_ids: &[String]) {
    let (ann, stranger) = (app.person("ann"), app.person("eve"));
    let first = &ms_ids[0];
    let unread = pairs(&[("cy", "received"), ("dee", "unreceived"), ("fay", "unreceived")]);
    for status in ["unread", "received,unreceived", "unreceived,unread,received"] {
        assert_eq!(receivers(&ann, first, status).await, unread, "{status}");
    }
    let two = pairs(&[("bob", "read"), ("cy", "received")]);
    assert_eq!(receivers(&ann, first, "read,received").await, two);
    assert_eq!(receivers(&ann, first, "read").await, pairs(&[("bob", "read")]));
    stranger.get(&format!("/messages/{first}/receipts?status=unread")).await.expect_problem(404, "not-found");

    // Many at once: in the order of their ids, each once.
    let path = format!("/receipts?ms_ids={},{},1,{}", ms_ids[1], ms_ids[0], ms_ids[1]);
    let counts = ann.get(&path).await.expect(200);
    let of = |ms_id: &str, seq: i64, [unreceived, received, read]: [i64; 3]| {
        json!({"ms_id": ms_id, "channel_id": channel, "seq": seq,
               "counts": {"unreceived": unreceived, "received": received, "read": read}})
    };
    let both = json!([of(&ms_ids[0], 1, [2, 1, 1]), of(&ms_ids[1], 2, [4, 0, 0])]);
    assert_eq!(counts, json!({"items": both, "unknown": ["1"]}));
    let nothing = json!({"items": [], "unknown": ["1", ms_ids[0], ms_ids[1]]});
    assert_eq!(stranger.get(&path).await.expect(200), nothing);
    // Support sees them with a reason, which is kept.
    let desk = app.client("desk", &["support"]);
    let by_role = desk.get(&format!("{path}&reason=ticket+7")).await.expect(200);
    assert_eq!(by_role["items"], both);
    let audit = app.client("root", &["admin"]).get("/audit?limit=1").await.expect(200);
    assert_eq!(audit["items"][0]["action"], "receipts");
    assert_eq!(audit["items"][0]["filter"]["ms_ids"], json!(["1", ms_ids[0], ms_ids[1]]));
    assert_eq!(
        (&audit["items"][0]["reason"], &audit["items"][0]["results"]),
        (&json!("ticket 7"), &json!(2))
    );
    assert_eq!(app.person("ann").get(&format!("{path}&reason=mine")).await.expect(200)["items"], both);
}

#[tokio::test]
async fn who_has_not_read_and_many_counts_are_one_call_each_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.gateway.answer(|batch| Answer::all_except(&batch.receivers().into_iter().collect::<Vec<_>>(), &[]));
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy", "dee", "fay", "eve"]).await;
    let channel = aged.group(&["ann", "bob", "cy", "dee", "fay"]).await;
    let mut ms_ids = Vec::new();
    for said in ["one", "two"] {
        ms_ids.push(text(&aged.say("ann", &channel, said).await["ms_id"]));
    }
    let at = |rest: &str| format!("/channels/{channel}/{rest}");
    aged.person("bob").post(&at("read"), json!({"seq": 1})).await.expect(200);
    aged.person("cy").post(&at("received"), json!({"seq": 1})).await.expect(200);
    check(&aged, &channel, &ms_ids).await;
    aged.settled().await;
    check(&aged, &channel, &ms_ids).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    check(&aged, &channel, &ms_ids).await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let ms_id = text(&app.say("ann", &channel, "hello").await["ms_id"]);
    let ann = app.person("ann");
    for status in ["", "seen", "unread,", "read;unread", "Unread"] {
        let refused = ann.get(&format!("/messages/{ms_id}/receipts?status={status}")).await;
        assert_eq!(refused.expect_problem(400, "invalid-parameter")["pointer"], "status");
    }
    let many = vec![ms_id.as_str(); 101].join(",");
    for ms_ids in ["", "x", "0", "-1", "1,,2", "9223372036854775808", &many] {
        let refused = ann.get(&format!("/receipts?ms_ids={ms_ids}")).await;
        assert_eq!(refused.expect_problem(400, "invalid-parameter")["pointer"], "ms_ids");
    }
    assert_eq!(ann.get("/receipts").await.expect_problem(400, "invalid-parameter")["pointer"], "ms_ids");
    app.person("nobody").get(&format!("/receipts?ms_ids={ms_id}")).await.expect_problem(403, "unknown-user");
    let desk = app.client("desk", &["support"]);
    desk.get(&format!("/receipts?ms_ids={ms_id}")).await.expect_problem(403, "unknown-user");
    let answer: Value = desk.get(&format!("/receipts?ms_ids={ms_id}&reason=x")).await.expect(200);
    assert_eq!(answer["unknown"], json!([]));
}
