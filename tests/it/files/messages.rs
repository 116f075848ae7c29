//! Messages that hold files: who reads a file through them, hot and cold, and when it goes.

use image::ImageFormat;

use super::pictures::photo;
use super::*;
use crate::archive::moving::Aged;

async fn sent(app: &TestApp, sender: &str, channel: &str, message: Value) -> String {
    let path = format!("/channels/{channel}/messages");
    text(&app.person(sender).post(&path, message).await.expect(201)["ms_id"])
}

fn file(ms_type: &str, file_id: &str) -> Value {
    json!({"type": ms_type, "content": {"file_id": file_id}})
}

async fn reads(app: &TestApp, user: &str, file_id: &str) -> bool {
    let (reply, _) = app.person(user).raw("GET", &format!("/files/{file_id}/content"), &[], &[]).await;
    assert!([200, 404].contains(&reply.status), "{reply:?}");
    reply.status == 200
}

/// Which of these users can read a file.
async fn readers(app: &TestApp, file_id: &str) -> Vec<&'static str> {
    let mut readers = Vec::new();
    for user in ["ann", "bob", "cy", "eve"] {
        if reads(app, user, file_id).await {
            readers.push(user);
        }
    }
    readers
}

#[tokio::test]
async fn who_sees_the_message_reads_the_file_hot_and_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy", "eve"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let offer = text(&put(&aged.person("ann"), "offer.pdf", b"%PDF-1.7 offer").await["file_id"]);
    let unsent = text(&put(&aged.person("ann"), "unsent.txt", b"unsent").await["file_id"]);
    assert_eq!(readers(&aged, &offer).await, ["ann"]);
    let ms_id = sent(&aged, "ann", &channel, file("file", &offer)).await;
    let content = json!({"file_id": offer, "name": "offer.pdf", "size": 14, "media_type": "application/pdf"});
    let shown = async |app: &TestApp| {
        let page = app.person("bob").get(&format!("/messages/{ms_id}")).await.expect(200);
        (page["items"][0]["content"].clone(), page["items"][0]["preview"].clone())
    };
    assert_eq!(shown(&aged).await, (content.clone(), json!("📄 offer.pdf")));
    assert_eq!(readers(&aged, &offer).await, ["ann", "bob"]);
    // Who joins later does not see the message, and not the file.
    aged.person("ann")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["cy"]}))
        .await
        .expect(200);
    assert_eq!(readers(&aged, &offer).await, ["ann", "bob"]);
    aged.settled().await;
    aged.indexed().await;
    let pushed = aged.gateway.read(|record| {
        let mut messages = record.batches().flat_map(|batch| &batch.messages);
        messages.find(|message| message.ms_id == ms_id).expect("pushed").content.clone()
    });
    assert_eq!(pushed, content);

    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    assert_eq!(shown(&aged).await, (content, json!("📄 offer.pdf")));
    assert_eq!(readers(&aged, &offer).await, ["ann", "bob"], "a used file does not expire");
    aged.until("SELECT count(*) FROM t_im_file", 1).await;
    assert_eq!(readers(&aged, &unsent).await, [""; 0], "an unused one does");
    let hits = aged.person("bob").get("/search/messages?q=offer").await.expect(200);
    assert_eq!(hits["items"][0]["ms_id"], json!(ms_id));
    // Who leaves can no longer read it, nor can anyone once the message is taken back.
    aged.person("bob").post(&format!("/channels/{channel}/leave"), json!({})).await.expect(204);
    assert_eq!(readers(&aged, &offer).await, ["ann"]);
}

#[tokio::test]
async fn a_recall_takes_the_file_from_the_receivers() {
    for removes in [false, true] {
        let app = TestApp::start_with(&format!("file_remove_with_message = {removes}\n")).await;
        app.people(&["ann", "bob", "cy", "eve"]).await;
        let (channel, other) = (app.direct("ann", "bob").await, app.direct("ann", "cy").await);
        let picture = put(&app.person("ann"), "board.png", &photo(64, 48, ImageFormat::Png)).await;
        let id = text(&picture["file_id"]);
        let first = sent(&app, "ann", &channel, file("picture", &id)).await;
        let second = sent(&app, "ann", &other, file("picture", &id)).await;
        let shown =
            app.person("bob").get(&format!("/messages/{first}")).await.expect(200)["items"][0].clone();
        assert_eq!(
            (&shown["content"]["width"], &shown["content"]["height"]),
            (&picture["width"], &picture["height"])
        );
        assert_eq!(readers(&app, &id).await, ["ann", "bob", "cy"]);
        let problem = app.person("ann").delete(&format!("/files/{id}")).await.expect_problem(409, "conflict");
        assert_eq!(problem["detail"], "a message holds the file: recall the message first");
        app.person("ann").post(&format!("/messages/{first}/recall"), json!({})).await.expect(200);
        assert_eq!(readers(&app, &id).await, ["ann", "cy"]);
        app.person("ann").post(&format!("/messages/{second}/recall"), json!({})).await.expect(200);
        // With its last message it goes, or it stays for its uploader.
        match removes {
            true => app.until("SELECT count(*) FROM t_im_file", 0).await,
            false => app.until("SELECT count(*) FROM t_im_file WHERE expires_at IS NULL", 1).await,
        }
        let left: &[&str] = if removes { &[] } else { &["ann"] };
        assert_eq!(readers(&app, &id).await, left);
        app.settled().await;
    }
}

#[tokio::test]
async fn only_a_readable_file_of_the_right_kind_is_sent() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "eve"]).await;
    let (channel, other) = (app.direct("ann", "bob").await, app.direct("bob", "cy").await);
    let (ann, path) = (app.person("ann"), format!("/channels/{channel}/messages"));
    let note = text(&put(&ann, "note.txt", b"note").await["file_id"]);
    let unfinished = begin(&ann, "half.txt", 10).await;
    let foreign = text(&put(&app.person("cy"), "foreign.txt", b"foreign").await["file_id"]);
    let of = |ms_type: &str, content: Value| json!({"type": ms_type, "content": content});
    let refused = [
        (file("file", &foreign), "/content/file_id"),
        (file("file", &unfinished), "/content/file_id"),
        (file("file", "999"), "/content/file_id"),
        (file("file", "0"), "/content/file_id"),
        (of("file", json!({"file_id": 7})), "/content/file_id"),
        (file("picture", &note), "/content/file_id"),
        (of("voice", json!({"file_id": note, "duration_ms": 1})), "/content/file_id"),
        (file("video", &note), "/content/file_id"),
        (file("voice", &note), "/content/duration_ms"),
        (of("file", json!({"file_id": note, "url": "/f"})), "/content/file_id"),
        (of("file", json!({})), "/content/url"),
        (of("file", json!({"url": "/f", "name": "f", "size": 1})), "/content/media_type"),
        (of("link", json!({"url": "/f", "title": "f", "file_id": note})), "/content/file_id"),
    ];
    for (message, pointer) in refused {
        let problem = ann.post(&path, message.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{message}");
    }
    // What the sender says of the file does not count; a repeat is a repeat.
    let said = json!({"type": "file", "client_id": "k",
                      "content": {"file_id": note, "name": "invoice.exe", "size": 1, "media_type": "a/b"}});
    let first = ann.post(&path, said.clone()).await.expect(201);
    assert_eq!(ann.post(&path, said).await.expect(200)["ms_id"], first["ms_id"]);
    let mut other_body = file("file", &note);
    other_body["client_id"] = json!("k");
    ann.post(&path, other_body).await.expect_problem(409, "client-id-reused");
    let shown =
        ann.get(&format!("/messages/{}", text(&first["ms_id"]))).await.expect(200)["items"][0].clone();
    assert_eq!(
        shown["content"],
        json!({"file_id": note, "name": "note.txt", "size": 4, "media_type": "text/plain"})
    );

    // Who reads a file through a message can send it on. A stranger cannot, and learns nothing.
    sent(&app, "bob", &other, file("file", &note)).await;
    assert_eq!(readers(&app, &note).await, ["ann", "bob", "cy"]);
    app.person("eve").post(&path, file("file", &note)).await.expect_problem(404, "not-found");
    let own = app.direct("eve", "cy").await;
    app.person("eve")
        .post(&format!("/channels/{own}/messages"), file("file", &note))
        .await
        .expect_problem(422, "invalid-field");
    // In a bulk send, each for itself.
    let item =
        |file_id: &str| json!({"channel_id": channel, "type": "file", "content": {"file_id": file_id}});
    let results = ann.post("/messages", json!([item(&note), item(&foreign), item(&note)])).await.expect(200);
    let statuses: Vec<i64> =
        results["results"].as_array().unwrap().iter().filter_map(|r| r["status"].as_i64()).collect();
    assert_eq!(statuses, [201, 422, 201]);
    assert_eq!(results["results"][1]["problem"]["pointer"], "/1/content/file_id");
    assert_eq!(app.count("SELECT count(*) FROM t_im_file_use", &[]).await, 4);
    app.settled().await;
}

#[tokio::test]
async fn a_file_that_is_removed_while_it_is_sent_is_gone_or_stays() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let (ann, path) = (app.person("ann"), format!("/channels/{channel}/messages"));
    for round in 0..20 {
        let id = text(&put(&ann, &format!("f{round}"), b"x").await["file_id"]);
        let (gone, file) = (format!("/files/{id}"), file("file", &id));
        let (removed, sent) = tokio::join!(ann.delete(&gone), ann.post(&path, file));
        match (removed.status, sent.status) {
            (204, 422) => assert!(!reads(&app, "ann", &id).await),
            (409, 201) => assert!(reads(&app, "bob", &id).await),
            other => panic!("{other:?}"),
        }
    }
    app.settled().await;
}

/// The check of a send that holds a file, as a transaction of another replica makes it.
async fn checked(sql: &tokio_postgres::Transaction<'_>, sender: &str, file_id: i64) -> usize {
    let check = include_str!("../../../sql/chat/message/check_files.sql");
    let refused = sql.query(check, &[&&[1_i32][..], &&[sender][..], &&[file_id][..]]).await;
    refused.expect("an answer").len()
}

#[tokio::test]
async fn sends_of_one_file_do_not_wait_for_each_other_and_its_removal_waits_for_them() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let ann = app.person("ann");
    let id = text(&put(&ann, "plan", b"plan").await["file_id"]);
    let number: i64 = id.parse().unwrap();
    // A message held it once: then the send that holds it next does not change its row.
    let first = sent(&app, "ann", &channel, file("file", &id)).await;
    ann.post(&format!("/messages/{first}/recall"), json!({})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_file WHERE expires_at IS NULL", 1).await;
    let mut replica = app.sql().await;
    let send = replica.transaction().await.unwrap();
    assert_eq!(checked(&send, "ann", number).await, 0);

    // Another lane sends the same file meanwhile. It is taken back, so that only the first send holds the file.
    let second = sent(&app, "ann", &channel, file("file", &id)).await;
    ann.post(&format!("/messages/{second}/recall"), json!({})).await.expect(200);
    app.until("SELECT count(*) FROM t_im_file WHERE expires_at IS NULL", 1).await;

    let gone = format!("/files/{id}");
    let ends = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE '-- Locks files that may be removed%'";
        app.until(waits, 1).await;
        let held = "INSERT INTO t_im_file_use (file_id, ms_id, channel_id, seq) VALUES ($1, 1, $2, 1)";
        let in_channel: i64 = channel.parse().unwrap();
        send.execute(held, &[&number, &in_channel]).await.expect("the file is there");
        send.commit().await.expect("the send is stored");
    };
    let (removed, ()) = tokio::join!(ann.delete(&gone), ends);
    let problem = removed.expect_problem(409, "conflict");
    assert_eq!(problem["detail"], "a message holds the file: recall the message first");

    // Once the file is gone, a send that waited for that is refused.
    app.sql().await.batch_execute("DELETE FROM t_im_file_use").await.unwrap();
    let removal = replica.transaction().await.unwrap();
    let lock = include_str!("../../../sql/files/upload/lock.sql");
    removal.query(lock, &[&&[number][..]]).await.unwrap();
    let path = format!("/channels/{channel}/messages");
    let ends = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE '-- Finds the sends of a batch that hold a file%'";
        app.until(waits, 1).await;
        removal.execute("DELETE FROM t_im_file WHERE file_id = $1", &[&number]).await.unwrap();
        removal.commit().await.unwrap();
    };
    let (refused, ()) = tokio::join!(ann.post(&path, file("file", &id)), ends);
    assert_eq!(refused.expect_problem(422, "invalid-field")["pointer"], "/content/file_id");
}

/// More uses than are looked at one by one.
const MANY: i64 = 40;

#[tokio::test]
async fn a_file_in_many_messages_is_read_by_those_who_see_one_of_them() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "eve"]).await;
    let group = app.group(&["ann", "bob", "cy"]).await;
    let id = text(&put(&app.person("ann"), "plan", b"plan").await["file_id"]);
    let first = sent(&app, "ann", &group, file("file", &id)).await;
    // The newer messages with it are in channels of others.
    let many = "INSERT INTO t_im_file_use (file_id, ms_id, channel_id, seq) \
                SELECT $1, $2 + n, 1000000 + n, 1 FROM generate_series(1, $3::bigint) AS n";
    let (number, first, in_group): (i64, i64, i64) =
        (id.parse().unwrap(), first.parse().unwrap(), group.parse().unwrap());
    app.sql().await.execute(many, &[&number, &first, &MANY]).await.unwrap();
    assert_eq!(readers(&app, &id).await, ["ann", "bob", "cy"]);
    let mut sql = app.sql().await;
    let refused = async |sql: &mut tokio_postgres::Client, user: &str| {
        checked(&sql.transaction().await.unwrap(), user, number).await == 1
    };
    for (user, is_refused) in [("ann", false), ("bob", false), ("cy", false), ("eve", true)] {
        assert_eq!(refused(&mut sql, user).await, is_refused, "{user}");
    }

    // Who has left reads it no more, and who comes back reads what was sent before.
    app.person("cy").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    assert_eq!(readers(&app, &id).await, ["ann", "bob"]);
    let away = app.say("ann", &group, "cy is away").await["seq"].as_i64().unwrap();
    let back = json!({"user_ids": ["cy"]});
    app.person("ann").post(&format!("/channels/{group}/members"), back).await.expect(200);
    assert_eq!(readers(&app, &id).await, ["ann", "bob", "cy"]);
    assert!(!refused(&mut sql, "cy").await);
    // What was sent meanwhile is not read.
    let meanwhile = "UPDATE t_im_file_use SET seq = $1 WHERE channel_id = $2";
    sql.execute(meanwhile, &[&away, &in_group]).await.unwrap();
    assert_eq!(readers(&app, &id).await, ["ann", "bob"]);
    assert!(refused(&mut sql, "cy").await && !refused(&mut sql, "bob").await);
    // A reader sends it on.
    let own = app.direct("bob", "eve").await;
    sent(&app, "bob", &own, file("file", &id)).await;
    assert_eq!(readers(&app, &id).await, ["ann", "bob", "eve"]);
}
