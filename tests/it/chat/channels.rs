//! Where it is said: direct channels, groups, members, roles.

use serde_json::{Value, json};

use crate::app::{TestApp, text};

#[tokio::test]
async fn a_pair_has_one_direct_channel_also_when_both_create_it_at_once() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    let with = |other: &str| json!({"type": "direct", "members": [other]});
    let both = futures_util::future::join_all((0..8).flat_map(|_| {
        [a.post("/channels", with("b")), b.post("/channels", with("a"))].map(futures_util::FutureExt::boxed)
    }))
    .await;
    let ids: std::collections::HashSet<String> = both.iter().map(|r| text(&r.body["channel_id"])).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(both.iter().filter(|r| r.status == 201).count(), 1, "one of them is new");
}

#[tokio::test]
async fn adding_to_a_direct_channel_upgrades_it_and_frees_the_pair() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.direct("a", "b").await;
    app.say("a", &channel, "before").await;
    let added =
        app.person("b").post(&format!("/channels/{channel}/members"), json!({"user_ids": ["c"]})).await;
    let body = added.expect(200);
    assert_eq!(
        (&body["channel"]["type"], &body["channel"]["owner"], &body["added"]),
        (&json!("group"), &json!("b"), &json!(1))
    );
    assert_eq!(body["channel"]["channel_id"], channel, "the id stays");
    assert_eq!(app.seqs("a", &channel, "").await, [1], "and the history");
    assert_eq!(app.seqs("c", &channel, "").await, [] as [i64; 0], "which a newcomer does not see");
    assert_ne!(app.direct("a", "b").await, channel, "the pair may talk alone again");
}

#[tokio::test]
async fn newcomers_see_what_the_channel_lets_them_see() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d"]).await;
    let channel = app.group(&["a", "b"]).await;
    app.say("a", &channel, "1").await;
    let members = format!("/channels/{channel}/members");
    app.person("a").post(&members, json!({"user_ids": ["c"]})).await.expect(200);
    let path = format!("/channels/{channel}");
    app.person("a").patch(&path, json!({"newcomers_see": "everything"})).await.expect(200);
    app.say("a", &channel, "2").await;
    app.person("a").post(&members, json!({"user_ids": ["d"]})).await.expect(200);
    app.say("a", &channel, "3").await;
    assert_eq!(app.seqs("c", &channel, "").await, [3, 2]);
    assert_eq!(app.seqs("d", &channel, "").await, [3, 2], "it opens from there on");
    assert_eq!(app.unread("d", &channel).await, 1, "what was said before joining is not unread");
    assert_eq!(app.ledger(&json!(app.message_id(&channel, 1).await)).await.len(), 1, "nor in the ledger");
}

#[tokio::test]
async fn a_group_has_roles() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d", "stranger"]).await;
    let channel = app.group(&["a", "b", "c", "d"]).await;
    let path = |rest: &str| format!("/channels/{channel}{rest}");
    let (a, b, c) = (app.person("a"), app.person("b"), app.person("c"));

    c.patch(&path(""), json!({"announcement": "no"})).await.expect_problem(403, "forbidden");
    c.delete(&path("/members/d")).await.expect_problem(403, "forbidden");
    a.put(&path("/members/b/role"), json!({"role": "admin"})).await.expect(204);
    b.patch(&path(""), json!({"announcement": "周五聚餐", "picture": "/p.png"})).await.expect(200);
    assert_eq!(c.get(&path("")).await.expect(200)["announcement"], "周五聚餐");
    b.patch(&path(""), json!({"announcement": null})).await.expect(200);
    assert_eq!(c.get(&path("")).await.expect(200)["announcement"], Value::Null);
    b.delete(&path("/members/d")).await.expect(204);
    b.delete(&path("/members/d")).await.expect_problem(404, "not-found");
    b.delete(&path("/members/a")).await.expect_problem(409, "conflict");
    app.person("d").get(&path("")).await.expect_problem(404, "not-found");
    app.person("stranger").get(&path("")).await.expect_problem(404, "not-found");
    app.person("stranger")
        .post(&path("/members"), json!({"user_ids": ["stranger"]}))
        .await
        .expect_problem(404, "not-found");

    a.post(&path("/leave"), json!({})).await.expect_problem(409, "conflict");
    b.post(&path("/owner"), json!({"user_id": "b"})).await.expect_problem(403, "forbidden");
    a.post(&path("/owner"), json!({"user_id": "d"})).await.expect_problem(422, "invalid-field");
    a.post(&path("/owner"), json!({"user_id": "b"})).await.expect(204);
    a.post(&path("/leave"), json!({})).await.expect(204);
    let members = b.get(&path("/members")).await.expect(200);
    let roles: Vec<_> = members["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (text(&m["user_id"]), text(&m["role"])))
        .collect();
    assert_eq!(roles, [("b".into(), "owner".into()), ("c".into(), "member".into())]);
}

#[tokio::test]
async fn a_group_is_called_something_that_is_seen_as_it_is() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let (a, channel) = (app.person("a"), app.group(&["a", "b"]).await);
    for name in ["", " ", "\u{200B}", "\u{3000}\u{3164}", "a\nb", "gnp.\u{202E}exe", "\u{2068}a"] {
        for field in ["name", "picture"] {
            let made = a.post("/groups", json!({"members": ["b"], (field): name})).await;
            assert_eq!(made.expect_problem(422, "invalid-field")["pointer"], format!("/{field}"), "{name:?}");
            let changed = a.patch(&format!("/channels/{channel}"), json!({(field): name})).await;
            assert_eq!(
                changed.expect_problem(422, "invalid-field")["pointer"],
                format!("/{field}"),
                "{name:?}"
            );
        }
    }
    a.patch(&format!("/channels/{channel}"), json!({"announcement": "\n \u{200B}"}))
        .await
        .expect_problem(422, "invalid-field");
    let names = json!({"name": "علی\u{61C} & שלום\u{200F}", "announcement": "one\n\ntwo"});
    a.patch(&format!("/channels/{channel}"), names.clone()).await.expect(200);
    assert_eq!(app.person("b").get(&format!("/channels/{channel}")).await.expect(200)["name"], names["name"]);
}

#[tokio::test]
async fn a_dissolved_group_stays_readable_to_its_members() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let channel = app.group(&["a", "b"]).await;
    app.say("a", &channel, "last words").await;
    let path = format!("/channels/{channel}");
    app.person("b").delete(&path).await.expect_problem(403, "forbidden");
    app.person("a").delete(&path).await.expect(204);
    let send = json!({"type": "text", "content": {"text": "too late"}});
    app.person("b").post(&format!("{path}/messages"), send).await.expect_problem(409, "channel-dissolved");
    app.person("a")
        .post(&format!("{path}/members"), json!({"user_ids": ["b"]}))
        .await
        .expect_problem(409, "channel-dissolved");
    assert_eq!(app.seqs("b", &channel, "").await, [1]);
    assert!(app.person("b").get(&path).await.expect(200)["dissolved_at"].is_string());
    app.person("b").post(&format!("{path}/read"), json!({"seq": 1})).await.expect(200);
    assert_eq!(app.unread("b", &channel).await, 0);
}

#[tokio::test]
async fn who_leaves_and_comes_back_has_two_intervals() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let channel = app.group(&["a", "b", "c"]).await;
    app.say("a", &channel, "1").await;
    app.person("b").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    app.say("a", &channel, "2").await;
    app.person("b").get(&format!("/channels/{channel}/messages")).await.expect_problem(404, "not-found");
    app.person("a")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["b"]}))
        .await
        .expect(200);
    // Leaving and rejoining without a word in between leaves no empty interval behind.
    app.person("b").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    app.person("a")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["b"]}))
        .await
        .expect(200);
    app.say("a", &channel, "3").await;
    assert_eq!(app.seqs("b", &channel, "").await, [3, 1]);
    assert_eq!(app.seqs("b", &channel, "?after_seq=0&limit=1").await, [1]);
    assert_eq!(app.unread("b", &channel).await, 1, "only what came after joining again");
    assert_eq!(app.count("SELECT count(*) FROM t_im_channel_user WHERE user_id = 'b'", &[]).await, 2);
    app.settled().await;
    let rows = "SELECT count(*) FROM t_im_message_push WHERE receiver = 'b'";
    assert_eq!(app.count(rows, &[]).await, 2);
}

#[tokio::test]
async fn unknown_and_inactive_people_are_named_by_their_place() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let gone = json!({"users": [{"user_id": "gone", "name": "Gone", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", gone).await.expect(200);
    let a = app.person("a");
    for (members, at) in [
        (json!(["b", "gone"]), "/members/1"),
        (json!(["nobody"]), "/members/0"),
        (json!(["b", "\u{0}"]), "/members/1"),
    ] {
        let problem = a
            .post("/groups", json!({"name": "g", "members": members}))
            .await
            .expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], at);
    }
    app.person("gone").get("/conversations").await.expect_problem(403, "unknown-user");
    app.person("never")
        .post("/channels", json!({"type": "direct", "members": ["a"]}))
        .await
        .expect_problem(403, "unknown-user");
    assert_eq!(app.count("SELECT count(*) FROM t_im_channel", &[]).await, 0, "and nothing changed");
}

impl TestApp {
    pub async fn message_id(&self, channel: &str, seq: i64) -> String {
        let channel: i64 = channel.parse().unwrap();
        let sql = "SELECT ms_id FROM t_im_message WHERE channel_id = $1 AND seq = $2";
        self.count(sql, &[&channel, &seq]).await.to_string()
    }
}
