//! Taken back: by whom and how long, gone from every reader, and never counted as unread.

use serde_json::{Value, json};

use crate::app::{LONG, TestApp, text};
use crate::support::{Answer, Gate, Reply};

async fn recall(app: &TestApp, person: &str, sent: &Value) -> Reply {
    app.person(person).post(&recall_path(sent), json!({})).await
}

fn recall_path(sent: &Value) -> String {
    format!("/messages/{}/recall", text(&sent["ms_id"]))
}

#[tokio::test]
async fn a_sender_takes_back_for_a_time_and_an_admin_always() {
    let mut app = TestApp::start().await;
    app.gateway.ignore_time();
    app.people(&["ann", "bob", "cy"]).await;
    let group = app.group(&["ann", "bob"]).await;
    let sent = app.say("ann", &group, "oops").await;
    let late = app.say("ann", &group, "oops, too late").await;
    recall(&app, "bob", &sent).await.expect_problem(403, "forbidden");
    recall(&app, "cy", &sent).await.expect_problem(404, "not-found");
    recall(&app, "nobody", &sent).await.expect_problem(403, "unknown-user");
    recall(&app, "ann", &json!({"ms_id": "1"})).await.expect_problem(404, "not-found");
    recall(&app, "ann", &json!({"ms_id": "one"})).await.expect_problem(404, "not-found");
    // No role but admin's takes back what others said.
    let others = app.client("bob", &["support", "gateway", "directory"]);
    others.post(&recall_path(&sent), json!({})).await.expect_problem(403, "forbidden");
    for (body, pointer) in [
        (json!({"reason": ""}), "/reason"),
        (json!({"reason": " "}), "/reason"),
        (json!({"reason": "x".repeat(501)}), "/reason"),
        (json!({"reason": "two\nlines"}), "/reason"),
        (json!({"why": "x"}), "/why"),
    ] {
        let problem =
            app.person("ann").post(&recall_path(&sent), body).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer);
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_recall", &[]).await, 0, "nobody has yet");

    let first = recall(&app, "ann", &sent).await.expect(200);
    assert_eq!((&first["ms_id"], &first["recalled"]["by"]), (&sent["ms_id"], &json!("ann")));
    assert_eq!(recall(&app, "ann", &sent).await.expect(200), first, "again is the same");
    let root = app.client("root", &["admin"]);
    let again = root.post(&recall_path(&sent), json!({"reason": "to be sure"})).await.expect(200);
    assert_eq!(again, first, "the first one counts");
    app.settled().await;

    app.clock("3 minutes").await;
    recall(&app, "ann", &late).await.expect_problem(409, "conflict");
    assert_eq!(recall(&app, "ann", &sent).await.expect(200), first, "a repeat is never too late");
    recall(&app, "bob", &late).await.expect_problem(403, "forbidden");
    let root = app.client("root", &["admin"]);
    let path = recall_path(&late);
    let by_admin = root.post(&path, json!({"reason": "asked by ann"})).await.expect(200);
    assert_eq!(by_admin["recalled"]["by"], "root");
    assert_eq!(recall(&app, "ann", &late).await.expect(200), by_admin);

    let filter = |sent: &Value| json!({"ms_id": sent["ms_id"], "sender": "ann"});
    let audit = root.get("/audit").await.expect(200);
    let kept = |entry: &Value| {
        (text(&entry["actor"]), text(&entry["action"]), entry["reason"].clone(), entry["filter"].clone())
    };
    let kept: Vec<_> = audit["items"].as_array().unwrap().iter().map(kept).collect();
    let expected = [
        ("root".to_owned(), "recall".to_owned(), json!("asked by ann"), filter(&late)),
        ("ann".to_owned(), "recall".to_owned(), Value::Null, filter(&sent)),
    ];
    assert_eq!(kept, expected, "once each");
}

#[tokio::test]
async fn whoever_left_takes_nothing_back_and_no_body_is_needed() {
    let app = TestApp::start_with("recall_within_ms = 3600000").await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    let (one, other) = (app.say("bob", &group, "one").await, app.say("bob", &group, "other").await);
    let url = format!("{}/api/v1{}", app.base, recall_path(&one));
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let bare = |body: &'static str| http.post(&url).header("x-user-id", "bob").body(body).send();
    assert_eq!(bare("{}").await.unwrap().status(), 415, "a body says what it is");
    assert_eq!(bare("").await.unwrap().status(), 200);
    app.person("bob").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    recall(&app, "bob", &other).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_was_taken_back_is_gone_from_every_reader() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    app.say("ann", &group, "before").await;
    let sent = app.say("ann", &group, "a slip of the tongue").await;
    app.settled().await;
    app.indexed().await;
    let search = |query: &str| format!("/search/messages?{query}");
    let (ann, bob) = (app.person("ann"), app.person("bob"));
    let hits = async |query: &str| app.all(&bob, &search(query)).await;
    assert_eq!(hits("q=slip").await.len(), 1);

    let recalled = recall(&app, "ann", &sent).await.expect(200)["recalled"].take();
    let is_empty = |message: &Value| {
        assert_eq!((&message["content"], &message["recalled"]), (&json!({}), &recalled), "{message}");
        assert_eq!((&message["ms_id"], &message["type"]), (&sent["ms_id"], &json!("text")));
    };
    // At once, and when the archive has heard of it.
    for round in 0..2 {
        for client in [&ann, &bob] {
            for (query, place) in [("", 0), ("?after_seq=0", 1), ("?after_seq=0&newest=5", 0)] {
                let page = client.get(&format!("/channels/{group}/messages{query}")).await.expect(200);
                assert_eq!(page["items"].as_array().unwrap().len(), 2, "its place stays");
                is_empty(&page["items"][place]);
            }
        }
        for person in ["ann", "bob"] {
            let last = app.conversation(person, &group).await["last_message"].take();
            assert_eq!(
                (&last["preview"], &last["recalled"], &last["seq"]),
                (&json!({}), &json!(true), &json!(2))
            );
        }
        for query in ["q=slip", "q=tongue&sender=ann", "q=slip&status=received", "q=\"slip of the\""] {
            assert_eq!(hits(query).await, [] as [Value; 0], "{round}: {query}");
        }
        let desk = app.client("desk", &["support"]);
        let of_support = desk.get("/support/messages?q=slip&reason=x").await.expect(200);
        assert_eq!(of_support["items"], json!([]));
        for query in ["sender=ann", "status=received", ""] {
            let found = hits(query).await;
            assert_eq!(found.len(), 2, "{round}: {query}");
            is_empty(&found[0]);
            assert_eq!(found[0]["highlight"], json!([]));
        }
        let receipts = ann.get(&format!("/messages/{}/receipts", text(&sent["ms_id"]))).await.expect(200);
        assert_eq!(
            receipts["counts"],
            json!({"unreceived": 0, "received": 1, "read": 0}),
            "its receipts stay"
        );
        app.indexed().await;
    }
    let kept = "SELECT count(*) FROM t_im_message WHERE content::text LIKE '%slip%'";
    assert_eq!(app.count(kept, &[]).await, 0, "and from the tables");
    let row = "SELECT count(*) FROM t_im_message WHERE content = '{}'";
    assert_eq!(app.count(row, &[]).await, 1, "its row stays");

    // What comes after it is shown as ever.
    app.say("bob", &group, "after").await;
    let last = app.conversation("ann", &group).await["last_message"].take();
    assert_eq!((&last["preview"], &last["recalled"]), (&json!({"text": "after"}), &json!(false)));
}

#[tokio::test]
async fn a_push_that_goes_out_later_does_not_tell_it_any_more() {
    let app = TestApp::start_with("callback_breaker_failures = 1000").await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let gate = Gate::closed();
    let behind = gate.clone();
    app.gateway.answer(move |batch| match batch.order {
        0 => Answer::status(500).behind(&behind),
        _ => Answer::All,
    });
    let under_way = app.say("ann", &channel, "secret one").await;
    app.gateway.wait_for(|record| record.arrivals.len() == 1, LONG).await;
    let queued = app.say("ann", &channel, "secret two").await;
    app.say("ann", &channel, "for everybody").await;
    for sent in [&under_way, &queued] {
        recall(&app, "ann", sent).await.expect(200);
    }
    gate.open();
    app.settled().await;
    let pushed: Vec<_> = app.gateway.read(|record| {
        let messages = record.batches().flat_map(|batch| batch.messages.clone());
        messages.map(|message| (message.seq, message.content, message.recalled)).collect()
    });
    let said = |text: &str| json!({"text": text});
    let expected = [
        (1, said("secret one"), None),
        (1, json!({}), Some(true)),
        (2, json!({}), Some(true)),
        (3, said("for everybody"), None),
    ];
    assert_eq!(pushed, expected);
    let attempts = app.gateway.read(|r| r.attempts_of(&r.arrivals[0].batch.webhook_id).len());
    assert_eq!(attempts, 2, "a repeat of the same batch");
    assert_eq!(app.ledger(&queued["ms_id"]).await[0].1, "received");
}

#[tokio::test]
async fn what_was_taken_back_is_unread_for_nobody() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "dee"]).await;
    let group = app.group(&["ann", "bob", "cy"]).await;
    let mut sent = Vec::new();
    for sender in ["ann", "ann", "bob", "ann"] {
        sent.push(app.say(sender, &group, "hello").await);
    }
    app.person("cy").post(&format!("/channels/{group}/read"), json!({"seq": 2})).await.expect(200);
    app.person("ann")
        .post(&format!("/channels/{group}/members"), json!({"user_ids": ["dee"]}))
        .await
        .expect(200);
    let unread = async || {
        let mut counts = Vec::new();
        for person in ["ann", "bob", "cy", "dee"] {
            counts.push(app.unread(person, &group).await);
        }
        counts
    };
    assert_eq!(unread().await, [1, 3, 2, 0]);
    for (person, message, expected) in [
        ("ann", 0, [1, 2, 2, 0]),
        ("ann", 0, [1, 2, 2, 0]),
        ("ann", 3, [1, 1, 1, 0]),
        ("bob", 2, [0, 1, 0, 0]),
    ] {
        recall(&app, person, &sent[message]).await.expect(200);
        assert_eq!(unread().await, expected, "{person} took back {message}");
    }
    let read = async |seq: i64| {
        let reply = app.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": seq})).await;
        reply.expect(200)["unread_count"].clone()
    };
    assert_eq!(read(1).await, 1);
    assert_eq!(read(4).await, 0);
    recall(&app, "ann", &sent[1]).await.expect(200);
    assert_eq!(unread().await, [0, 0, 0, 0], "those who had read it");
    app.say("cy", &group, "one more").await;
    assert_eq!(unread().await, [1, 1, 0, 1]);
}

#[tokio::test]
async fn a_repeated_send_of_it_stores_nothing_again() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let path = format!("/channels/{channel}/messages");
    let body = json!({"client_id": "once", "type": "text", "content": {"text": "oops"}});
    let ann = app.person("ann");
    let sent = ann.post(&path, body.clone()).await.expect(201);
    recall(&app, "ann", &sent).await.expect(200);
    let repeated = ann.post(&path, body).await.expect(200);
    assert_eq!((&repeated["ms_id"], &repeated["repeated"]), (&sent["ms_id"], &json!(true)));
    let page = app.person("bob").get(&path).await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["content"], json!({}));
    let other = json!({"client_id": "once", "type": "text", "content": {"text": "other"}});
    ann.post(&path, other).await.expect_problem(409, "client-id-reused");
}
