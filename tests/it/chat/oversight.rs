//! Support finds channels, who was in them and what was said around a hit; administrators rescue a group. Each
//! look has a reason, and is kept.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;
use crate::support::{Client, StreamEvent};

const WHY: &str = "reason=ticket+7";

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().expect("items").iter().map(|c| text(&c["channel_id"])).collect()
}

/// The newest entries of the audit: action, reason, filter, results.
async fn audit(app: &TestApp, count: usize) -> Vec<(String, Value, Value, Value)> {
    let page = app.client("root", &["admin"]).get(&format!("/audit?limit={count}")).await.expect(200);
    let items = page["items"].as_array().expect("items").iter();
    let entry =
        |e: &Value| (text(&e["action"]), e["reason"].clone(), e["filter"].clone(), e["results"].clone());
    items.map(entry).collect()
}

#[tokio::test]
async fn support_finds_channels_by_who_is_or_was_in_them_and_by_their_names() {
    let app = TestApp::start().await;
    let users = json!({"users": [
        {"user_id": "ann", "name": "Ann Li"}, {"user_id": "bob", "name": "Bob"}, {"user_id": "cy", "name": "Cy"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let group = async |name: &str, members: &[&str]| {
        let body = json!({"name": name, "members": members[1..]});
        text(&app.person(members[0]).post("/groups", body).await.expect(201)["channel_id"])
    };
    let apollo = group("项目组 APOLLO", &["ann", "bob"]).await;
    let sales = group("Sales", &["bob", "cy"]).await;
    let direct = app.direct("ann", "cy").await;
    app.say("ann", &apollo, "hello").await;
    app.person("ann").post(&format!("/channels/{apollo}/owner"), json!({"user_id": "bob"})).await.expect(204);
    app.person("ann").post(&format!("/channels/{apollo}/leave"), json!({})).await.expect(204);

    let desk = app.client("desk", &["support"]);
    let find = async |query: &str| desk.get(&format!("/support/channels?{query}&{WHY}")).await.expect(200);
    let of_ann = find("member=ann").await;
    assert_eq!(ids(&of_ann), [direct.clone(), apollo.clone()], "newest first, also what she has left");
    assert_eq!(of_ann["items"][0]["is_member"], true);
    assert_eq!(of_ann["items"][1]["is_member"], false);
    assert_eq!(of_ann["items"][1]["owner"], json!({"user_id": "bob", "name": "Bob", "active": true}));
    let pair = json!([{"user_id": "ann", "name": "Ann Li"}, {"user_id": "cy", "name": "Cy"}]);
    assert_eq!((&of_ann["items"][0]["pair"], &of_ann["items"][0]["name"]), (&pair, &Value::Null));
    app.until("SELECT count(*) FROM t_im_user WHERE words_due", 0).await;
    assert_eq!(ids(&find("member=Ann+Li").await), ids(&of_ann), "a person by name");
    assert_eq!(ids(&find("q=apollo").await), std::slice::from_ref(&apollo));
    assert_eq!(ids(&find("q=%E9%A1%B9%E7%9B%AE").await), std::slice::from_ref(&apollo));
    assert_eq!(
        ids(&find("member=cy&q=an").await),
        std::slice::from_ref(&direct),
        "by the other person's name"
    );
    assert_eq!(ids(&find("member=ann&q=sales").await), [] as [String; 0]);
    assert_eq!(find("q=a").await["items"].as_array().map(Vec::len), Some(2));
    // Page by page.
    let first = find("q=a&limit=1").await;
    assert_eq!(ids(&first), std::slice::from_ref(&sales));
    let second = find(&format!("q=a&limit=1&cursor={}", text(&first["next_cursor"]))).await;
    assert_eq!(ids(&second), std::slice::from_ref(&apollo));
    let end = find(&format!("q=a&limit=1&cursor={}", text(&second["next_cursor"]))).await;
    assert_eq!((ids(&end), &end["next_cursor"]), (vec![], &Value::Null));

    let shown = desk.get(&format!("/support/channels/{direct}?{WHY}")).await.expect(200);
    assert_eq!((&shown["pair"], &shown["type"], &shown["owner"]), (&pair, &json!("direct"), &Value::Null));
    let kept = audit(&app, 2).await;
    assert_eq!(kept[0], ("channels".into(), json!("ticket 7"), json!({"channel_id": direct}), json!(1)));
    assert_eq!((&kept[1].0, &kept[1].2["q"], &kept[1].3), (&"channels".to_owned(), &json!("a"), &json!(0)));

    // Nobody else, and not without a reason.
    for path in ["/support/channels?q=a", &format!("/support/channels/{direct}")] {
        let glue = if path.contains('?') { '&' } else { '?' };
        app.person("ann").get(&format!("{path}{glue}{WHY}")).await.expect_problem(403, "forbidden");
        let refused = desk.get(path).await.expect_problem(400, "invalid-parameter");
        assert_eq!(refused["pointer"], "reason");
    }
    for (query, pointer) in [("", "q"), ("q=%20", "q"), ("member=nobody", "member"), ("q=a&limit=0", "limit")]
    {
        let refused = desk.get(&format!("/support/channels?{query}&{WHY}")).await;
        assert_eq!(refused.expect_problem(400, "invalid-parameter")["pointer"], pointer, "{query}");
    }
    desk.get(&format!("/support/channels/99?{WHY}")).await.expect_problem(404, "not-found");
}

async fn others_are_refused(aged: &Aged, desk: &Client, (channel, first): (&str, &str)) {
    for rest in ["messages", "members"] {
        let path = format!("/support/channels/{channel}/{rest}");
        aged.person("ann").get(&format!("{path}?{WHY}")).await.expect_problem(403, "forbidden");
        desk.get(&path).await.expect_problem(400, "invalid-parameter");
        let nowhere = format!("/support/channels/99/{rest}?{WHY}");
        desk.get(&nowhere).await.expect_problem(404, "not-found");
    }
    let elsewhere = aged.direct("bob", "cy").await;
    let path = format!("/support/channels/{elsewhere}/messages?around={}&{WHY}", first);
    desk.get(&path).await.expect_problem(404, "not-found");
    let path = format!("/support/channels/{channel}/messages?around=x&{WHY}");
    assert_eq!(desk.get(&path).await.expect_problem(400, "invalid-parameter")["pointer"], "around");
}

#[tokio::test]
async fn support_sees_who_was_there_and_what_was_said_around_a_hit_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let mut ms_ids = Vec::new();
    let members = format!("/channels/{channel}/members");
    for i in 1..=12 {
        if i == 4 {
            aged.person("bob").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
        }
        if i == 8 {
            aged.person("ann").post(&members, json!({"user_ids": ["bob", "cy"]})).await.expect(200);
        }
        ms_ids.push(text(&aged.say("ann", &channel, &format!("said {i}")).await["ms_id"]));
    }
    aged.settled().await;
    aged.app.clock("0").await;
    for i in 13..=15 {
        ms_ids.push(text(&aged.say("ann", &channel, &format!("said {i}")).await["ms_id"]));
    }
    aged.settled().await;
    for cold in [false, true] {
        if cold {
            aged.move_all().await;
            assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 3);
        }
        let desk = aged.client("desk", &["support"]);
        let get = async |rest: &str| {
            desk.get(&format!("/support/channels/{channel}/{rest}&{WHY}")).await.expect(200)
        };
        let seqs = |page: &Value| -> Vec<i64> {
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|m| m["seq"].as_i64().expect("a seq"))
                .collect()
        };
        let hit = get(&format!("messages?around={}&limit=2", ms_ids[11])).await;
        assert_eq!((seqs(&hit), hit["position"].as_i64()), (vec![14, 13, 12, 11, 10], Some(2)));
        let older = get(&format!("messages?limit=3&cursor={}", text(&hit["older_cursor"]))).await;
        assert_eq!(seqs(&older), [9, 8, 7]);
        let newer = get(&format!("messages?limit=3&cursor={}", text(&hit["newer_cursor"]))).await;
        assert_eq!((seqs(&newer), &newer["newer_cursor"]), (vec![15], &Value::Null));
        let newest = get("messages?limit=4").await;
        assert_eq!((seqs(&newest), newest["position"].as_i64()), (vec![15, 14, 13, 12], None));
        let kept = &audit(&aged, 1).await[0];
        assert_eq!((&kept.0[..], &kept.1, &kept.3), ("messages", &json!("ticket 7"), &json!(4)));

        let there = get("members?limit=2").await;
        let of = |page: &Value, i: usize| {
            let intervals = page["items"][i]["intervals"].as_array().expect("intervals").iter();
            let span = |one: &Value| (one["from_seq"].as_i64(), one["to_seq"].as_i64());
            (text(&page["items"][i]["user_id"]), intervals.map(span).collect::<Vec<_>>())
        };
        assert_eq!(of(&there, 0), ("ann".into(), vec![(Some(1), None)]));
        assert_eq!(of(&there, 1), ("bob".into(), vec![(Some(1), Some(3)), (Some(8), None)]));
        let rest = get(&format!("members?limit=2&cursor={}", text(&there["next_cursor"]))).await;
        assert_eq!(of(&rest, 0), ("cy".into(), vec![(Some(8), None)]));
        assert_eq!(audit(&aged, 1).await[0].0, "members");

        others_are_refused(&aged, &desk, (&channel, &ms_ids[0])).await;
    }
}

#[tokio::test]
async fn an_administrator_gives_a_group_another_owner_with_a_reason() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "gone"]).await;
    let channel = app.group(&["ann", "bob", "gone"]).await;
    let mut stream = app.person("bob").listen(None).await;
    stream.expect("hello").await;
    let (root, path) = (app.client("root", &["admin"]), format!("/support/channels/{channel}/owner"));
    let to = |user: &str| json!({"user_id": user, "reason": "on leave"});
    // Neither the owner's people nor support may.
    app.person("bob").post(&path, to("bob")).await.expect_problem(403, "forbidden");
    app.client("desk", &["support"]).post(&path, to("bob")).await.expect_problem(403, "forbidden");
    let left = json!({"users": [{"user_id": "gone", "name": "GONE", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", left).await.expect(200);
    for (body, pointer) in [
        (to("cy"), "/user_id"),
        (to("gone"), "/user_id"),
        (to("a,b"), "/user_id"),
        (json!({"user_id": "bob", "reason": " "}), "/reason"),
        (json!({"user_id": "bob"}), "/reason"),
    ] {
        let refused = root.post(&path, body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(refused["pointer"], pointer, "{body}");
    }
    root.post(&path, to("bob")).await.expect(204);
    root.post(&path, to("bob")).await.expect(204);
    let shown = app.person("ann").get(&format!("/channels/{channel}")).await.expect(200);
    assert_eq!((&shown["owner"], &shown["role"]), (&json!("bob"), &json!("member")));
    app.person("bob").patch(&format!("/channels/{channel}"), json!({"name": "rescued"})).await.expect(200);
    let is_of_owner = |told: &Option<StreamEvent>| {
        told.as_ref().is_some_and(|t| t.data["data"]["changed"] == json!(["owner"]))
    };
    while !is_of_owner(&stream.next().await) {}
    let kept = audit(&app, 2).await;
    let filter = json!({"channel_id": channel, "owner": "ann", "new_owner": "bob"});
    assert_eq!(kept[1], ("owner-changed".into(), json!("on leave"), filter, Value::Null));
    let direct = app.direct("ann", "bob").await;
    root.post(&format!("/support/channels/{direct}/owner"), to("ann")).await.expect_problem(409, "conflict");
    root.post("/support/channels/99/owner", to("ann")).await.expect_problem(404, "not-found");
    app.person("bob").delete(&format!("/channels/{channel}")).await.expect(204);
    root.post(&path, to("ann")).await.expect_problem(409, "channel-dissolved");
}
