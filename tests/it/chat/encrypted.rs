//! Encrypted channels: they take only messages of MLS and one commit for each epoch, and stay what they are.

mod mls;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::support::Reply;

const PREVIEW: &str = "🔒 加密消息 · Encrypted message";

fn messages(channel: &str) -> String {
    format!("/channels/{channel}/messages")
}

/// An encrypted group with its owner first.
pub async fn group(app: &TestApp, members: &[&str]) -> String {
    let body = json!({"name": "an encrypted group", "members": members[1..], "encrypted": true});
    let made = app.person(members[0]).post("/groups", body).await.expect(201);
    assert_eq!(made["encrypted"], true);
    text(&made["channel_id"])
}

fn sealed(words: &str) -> Value {
    json!({"type": "mls", "content": {"mls": BASE64_STANDARD.encode(words), "kind": "application"}})
}

fn commit(epoch: u64, words: &str) -> Value {
    json!({"type": "mls", "client_id": words,
           "content": {"mls": BASE64_STANDARD.encode(words), "kind": "commit", "epoch": epoch}})
}

async fn send(app: &TestApp, sender: &str, channel: &str, message: Value) -> Reply {
    app.person(sender).post(&messages(channel), message).await
}

#[tokio::test]
async fn an_encrypted_channel_takes_only_mls_and_other_channels_take_none() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let (secret, plain) = (group(&app, &["ann", "bob"]).await, app.group(&["ann", "bob"]).await);
    let words = json!({"type": "text", "content": {"text": "in the clear"}});
    send(&app, "ann", &secret, words).await.expect_problem(409, "channel-encrypted");
    send(&app, "ann", &plain, sealed("x")).await.expect_problem(409, "channel-not-encrypted");
    app.people(&["eve"]).await;
    send(&app, "eve", &secret, sealed("x")).await.expect_problem(404, "not-found");
    let sent = send(&app, "ann", &secret, sealed("x")).await.expect(201);
    let page = app.person("bob").get(&messages(&secret)).await.expect(200);
    let message = &page["items"][0];
    assert_eq!((&message["ms_id"], &message["content"]), (&sent["ms_id"], &sealed("x")["content"]));
    assert_eq!(message["preview"], PREVIEW);
    let last = app.conversation("bob", &secret).await["last_message"].clone();
    assert_eq!(last["preview"], json!({"text": PREVIEW}), "what is encrypted is in no list");
    assert_eq!(app.unread("bob", &secret).await, 1);
    app.settled().await;
    let pushed = app.gateway.read(|record| {
        let pushed = record.batches().flat_map(|batch| &batch.messages);
        pushed.map(|m| (m.kind.clone(), m.content.clone(), m.preview.clone())).collect::<Vec<_>>()
    });
    assert_eq!(pushed, [("mls".to_owned(), sealed("x")["content"].clone(), Some(PREVIEW.to_owned()))]);
    assert_eq!(app.person("ann").get(&format!("/channels/{plain}")).await.expect(200)["encrypted"], false);
}

#[tokio::test]
async fn a_pair_has_one_direct_channel_that_is_encrypted_or_not() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy"]).await;
    let plain = app.direct("ann", "cy").await;
    let of = |member: &str| json!({"type": "direct", "members": [member], "encrypted": true});
    app.person("ann").post("/channels", of("cy")).await.expect_problem(409, "channel-not-encrypted");
    assert_eq!(app.direct("cy", "ann").await, plain);
    let made = app.person("ann").post("/channels", of("bob")).await.expect(201);
    let channel = text(&made["channel_id"]);
    for body in [of("ann"), json!({"type": "direct", "members": ["ann"]})] {
        let found = app.person("bob").post("/channels", body).await.expect(200);
        assert_eq!((&found["channel_id"], &found["encrypted"]), (&made["channel_id"], &json!(true)));
    }
    // No change opens it, and neither does a third member.
    let change = app.person("ann").patch(&format!("/channels/{channel}"), json!({"encrypted": false})).await;
    assert_eq!(change.status, 422);
    let path = format!("/channels/{channel}/members");
    let added = app.person("ann").post(&path, json!({"user_ids": ["cy"]})).await.expect(200);
    assert_eq!((&added["channel"]["type"], &added["channel"]["encrypted"]), (&json!("group"), &json!(true)));
    send(&app, "cy", &channel, sealed("x")).await.expect(201);
}

#[tokio::test]
async fn a_repeat_makes_no_group_that_is_encrypted_otherwise() {
    let app = TestApp::start().await;
    app.people(&["ann"]).await;
    let body = |encrypted| json!({"name": "g", "client_id": "one", "encrypted": encrypted});
    let made = app.person("ann").post("/groups", body(true)).await.expect(201);
    let again = app.person("ann").post("/groups", body(true)).await.expect(200);
    assert_eq!(again["channel_id"], made["channel_id"]);
    app.person("ann").post("/groups", body(false)).await.expect_problem(409, "client-id-reused");
}

#[tokio::test]
async fn a_channel_takes_one_commit_for_each_epoch() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "eve"]).await;
    let channel = group(&app, &["ann", "bob"]).await;
    send(&app, "eve", &channel, commit(0, "of no member")).await.expect_problem(404, "not-found");
    let ahead = send(&app, "ann", &channel, commit(1, "ahead")).await.expect_problem(409, "epoch-taken");
    assert_eq!(ahead["epoch"], 0);
    let first = send(&app, "ann", &channel, commit(0, "first")).await.expect(201);
    let second = send(&app, "bob", &channel, commit(0, "second")).await.expect_problem(409, "epoch-taken");
    assert_eq!(second["epoch"], 1);
    // A repeat is answered as the first one, although its epoch is over.
    let again = send(&app, "ann", &channel, commit(0, "first")).await.expect(200);
    assert_eq!((&again["ms_id"], &again["repeated"]), (&first["ms_id"], &json!(true)));
    // What is refused has claimed nothing: its client id serves for the next commit.
    send(&app, "bob", &channel, commit(1, "second")).await.expect(201);
    let late = json!({"type": "mls", "content": {"mls": "AAAA", "kind": "application", "epoch": 0}});
    send(&app, "ann", &channel, late).await.expect(201);
    let epoch = "SELECT mls_epoch FROM t_im_channel WHERE mls_epoch IS NOT NULL";
    assert_eq!(app.count(epoch, &[]).await, 2);
}

#[tokio::test]
async fn of_commits_at_once_one_wins() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy"]).await;
    let channel = group(&app, &["ann", "bob", "cy"]).await;
    for epoch in 0..5 {
        let racing = (0..12).map(|n| {
            let sender = ["ann", "bob", "cy"][n % 3];
            send(&app, sender, &channel, commit(epoch, &format!("{epoch} {n}")))
        });
        let replies = join_all(racing).await;
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
        assert_eq!((won.len(), lost.len()), (1, 11));
        for reply in lost {
            assert_eq!(reply.expect_problem(409, "epoch-taken")["epoch"], epoch + 1);
        }
    }
}

#[tokio::test]
async fn commits_of_one_call_follow_each_other() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let (one, other) = (group(&app, &["ann", "bob"]).await, group(&app, &["ann", "bob"]).await);
    let to = |channel: &str, epoch, words: &str| {
        let mut message = commit(epoch, words);
        message["channel_id"] = json!(channel);
        message
    };
    let items = [to(&one, 0, "a"), to(&other, 0, "b"), to(&one, 1, "c"), to(&one, 1, "d"), to(&one, 0, "a")];
    let results = app.person("ann").post("/messages", json!(items)).await.expect(200);
    let statuses: Vec<_> = results["results"].as_array().expect("results").iter().collect();
    let statuses: Vec<_> = statuses.iter().map(|one| one["status"].as_u64().expect("a status")).collect();
    assert_eq!(statuses, [201, 201, 201, 409, 200]);
}

#[tokio::test]
async fn what_is_wrong_with_an_encrypted_content_is_said() {
    let app = TestApp::start().await;
    app.people(&["ann"]).await;
    let channel = group(&app, &["ann"]).await;
    for (content, pointer) in [
        (json!({"mls": "no base64!", "kind": "application"}), "/content/mls"),
        (json!({"mls": "", "kind": "application"}), "/content/mls"),
        (json!({"mls": "A".repeat(262_148), "kind": "welcome"}), "/content/mls"),
        (json!({"mls": "AAAA", "kind": "commit"}), "/content/epoch"),
        (json!({"mls": "AAAA", "kind": "commit", "epoch": -1}), "/content/epoch"),
        (json!({"mls": "AAAA", "kind": "other"}), "/content/kind"),
    ] {
        let reply = send(&app, "ann", &channel, json!({"type": "mls", "content": content})).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], pointer);
    }
    let largest = json!({"mls": "A".repeat(262_144), "kind": "welcome", "epoch": null});
    send(&app, "ann", &channel, json!({"type": "mls", "content": largest})).await.expect(201);
}

#[tokio::test]
async fn what_cannot_encrypt_stays_out() {
    let app = TestApp::start().await;
    let users = json!({"users": [{"user_id": "ann", "name": "A"}, {"user_id": "bob", "name": "B"},
                                 {"user_id": "oa", "name": "OA", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    let ann = app.person("ann");
    let channel = group(&app, &["ann", "bob"]).await;
    let robot = ann.post(&format!("/channels/{channel}/robots"), json!({"name": "r"})).await;
    robot.expect_problem(409, "channel-encrypted");
    let direct = json!({"type": "direct", "members": ["oa"], "encrypted": true});
    let refused = ann.post("/channels", direct).await.expect_problem(422, "invalid-field");
    assert_eq!(refused["pointer"], "/encrypted");
    let notice = json!({"client_id": "n", "to": {"user_ids": ["ann"]}, "type": "mls", "content": sealed("x")["content"]});
    let refused = app.person("oa").post("/notifications", notice).await.expect_problem(422, "invalid-field");
    assert_eq!(refused["pointer"], "/type");
    // Copies go neither out nor in.
    let plain = app.group(&["ann", "bob"]).await;
    let ms_id = text(&send(&app, "ann", &channel, sealed("x")).await.expect(201)["ms_id"]);
    let out = ann.post(&format!("/messages/{ms_id}/forward"), json!({"channel_ids": [plain]})).await;
    out.expect_problem(409, "channel-encrypted");
    let words = text(&app.say("ann", &plain, "words").await["ms_id"]);
    let into = ann.post(&format!("/messages/{words}/forward"), json!({"channel_ids": [channel]})).await;
    assert_eq!(into.expect(200)["results"][0]["status"], 409);
}

#[tokio::test]
async fn what_is_beside_the_content_works_as_everywhere() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob"]).await;
    let channel = group(&app, &["ann", "bob"]).await;
    let (ann, bob) = (app.person("ann"), app.person("bob"));
    let ms_id = text(&send(&app, "ann", &channel, sealed("x")).await.expect(201)["ms_id"]);
    let mut reply = sealed("y");
    reply["reply_to"] = json!(ms_id);
    send(&app, "bob", &channel, reply).await.expect(201);
    let page = ann.get(&messages(&channel)).await.expect(200);
    let replies = page["items"].as_array().expect("items").iter().find(|one| one["reply_to"].is_object());
    let quoted = &replies.expect("the reply")["reply_to"];
    assert_eq!((&quoted["type"], &quoted["preview"]), (&json!("mls"), &json!(PREVIEW)));
    bob.put(&format!("/users/me/favourites/{ms_id}"), json!({"note": "n"})).await.expect(200);
    bob.post(&format!("/channels/{channel}/read"), json!({"seq": 2})).await.expect(200);
    app.settled().await;
    let (receiver, status, _) = app.ledger(&json!(ms_id)).await.remove(0);
    assert_eq!((receiver.as_str(), status.as_str()), ("bob", "read"));
    // Support sees that it is there.
    app.indexed().await;
    let desk = app.client("desk", &["support"]);
    let seen = desk.get("/support/messages?sender=ann&reason=a+test").await.expect(200);
    assert_eq!(seen["items"][0]["preview"], PREVIEW);
    // What the clients need to read on stays, also for an administrator.
    let commit = json!({"type": "mls", "content": {"mls": "AAAA", "kind": "commit", "epoch": 0}});
    let commit = text(&send(&app, "ann", &channel, commit).await.expect(201)["ms_id"]);
    for caller in [&ann, &app.client("root", &["admin"])] {
        let recall = json!({"reason": "a test"});
        caller.post(&format!("/messages/{commit}/recall"), recall).await.expect_problem(409, "conflict");
    }
    ann.post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    let left = ann.get(&format!("/messages/{ms_id}")).await.expect(200);
    assert_eq!(left["items"][0]["content"], json!({}));
    // The service itself leaves the message of a call.
    let begun = ann.post("/calls", json!({"channel_id": channel, "media": "audio"})).await.expect(201);
    ann.post(&format!("/calls/{}/end", text(&begun["call_id"])), json!(null)).await.expect(200);
    assert_eq!(app.conversation("bob", &channel).await["last_message"]["type"], "call");
}
