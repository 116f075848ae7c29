//! Replies, topics, data and references: for those who see the messages, hot and cold, and after a recall.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;
use crate::delivery::callbacks::OPEN;
use crate::records::cards::observer;
use crate::support::ObservedEvent;

fn saying(words: &str, more: Value) -> Value {
    let mut message = json!({"type": "text", "content": {"text": words}});
    message.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    message
}

async fn send(app: &TestApp, sender: &str, channel: &str, message: Value) -> String {
    let path = format!("/channels/{channel}/messages");
    text(&app.person(sender).post(&path, message).await.expect(201)["ms_id"])
}

fn seqs(items: &[Value]) -> Vec<i64> {
    items.iter().map(|item| item["seq"].as_i64().expect("a seq")).collect()
}

/// Seqs of a whole listing, two a page.
async fn listed(app: &TestApp, user: &str, path: &str) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let glue = if path.contains('?') { '&' } else { '?' };
        let page = app.person(user).get(&format!("{path}{glue}limit=2{cursor}")).await.expect(200);
        found.extend(seqs(page["items"].as_array().expect("items")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Pages of a topic: the cursor keeps it, and a call may name it again.
async fn of_topic(app: &TestApp, user: &str, channel: &str, topic: &str) -> Vec<i64> {
    let path = format!("/channels/{channel}/messages");
    let mut page = app.person(user).get(&format!("{path}?limit=1&topic={topic}")).await.expect(200);
    let mut found = Vec::new();
    loop {
        found.extend(seqs(page["items"].as_array().expect("items")));
        let Some(next) = page["next_cursor"].as_str() else { return found };
        let named = if found.len() % 2 == 0 { "" } else { &format!("&topic={topic}") };
        page = app.person(user).get(&format!("{path}?limit=1&cursor={next}{named}")).await.expect(200);
    }
}

async fn one(app: &TestApp, user: &str, ms_id: &str) -> Value {
    app.person(user).get(&format!("/messages/{ms_id}")).await.expect(200)["items"][0].clone()
}

/// A thread in a group of ann and bob: 1 ann asks, 2 a voice message of ann, 3 bob answers 1, 4 ann answers 3, 5 bob answers 2,
/// 6 bob answers 1 again.
async fn thread(app: &TestApp, channel: &str) -> Vec<String> {
    let mut ids =
        vec![send(app, "ann", channel, saying("几点？", json!({"topic": "会议", "ref": "m-1"}))).await];
    let voice =
        json!({"type": "voice", "content": {"url": "/v", "duration_ms": 12000, "media_type": "audio/ogg"}});
    ids.push(send(app, "ann", channel, voice).await);
    let answers = [
        ("bob", "三点", 0, json!({"topic": "会议"})),
        ("ann", "好", 2, json!({"ref": "m-1"})),
        ("bob", "听到了", 1, json!({})),
        ("bob", "改四点", 0, json!({"topic": "会议", "data": {"step": 2}})),
    ];
    for (sender, words, to, mut more) in answers {
        more["reply_to"] = json!(ids[to]);
        ids.push(send(app, sender, channel, saying(words, more)).await);
    }
    ids
}

/// What readers see of the thread, hot and cold.
async fn check(app: &TestApp, channel: &str, ids: &[String]) {
    for user in ["ann", "bob"] {
        assert_eq!(listed(app, user, &format!("/messages/{}/replies", ids[0])).await, [3, 6]);
        assert_eq!(listed(app, user, &format!("/messages/{}/replies", ids[1])).await, [5]);
        assert_eq!(listed(app, user, &format!("/messages/{}/replies", ids[5])).await, [0_i64; 0]);
        assert_eq!(of_topic(app, user, channel, "会议").await, [6, 3, 1]);
        assert_eq!(of_topic(app, user, channel, "别的").await, [0_i64; 0]);
        let topics =
            app.person(user).get(&format!("/channels/{channel}/topics")).await.expect(200)["items"].clone();
        assert_eq!(
            (&topics[0]["topic"], &topics[0]["last_seq"], &topics[1]),
            (&json!("会议"), &json!(6), &Value::Null)
        );
    }
    let page = app.person("bob").get(&format!("/channels/{channel}/messages?after_seq=0")).await.expect(200);
    let shown: Vec<Value> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|m| {
            json!([
                m["reply_count"],
                m["reply_to"]["preview"],
                m["reply_to"]["sender"],
                m["topic"],
                m["data"],
                m["ref"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!([2, null, null, "会议", null, "m-1"]),
            json!([1, null, null, null, null, null]),
            json!([1, "几点？", "ann", "会议", null, null]),
            json!([null, "三点", "bob", null, null, "m-1"]),
            json!([null, "🎤 0:12", "ann", null, null, null]),
            json!([null, "几点？", "ann", "会议", {"step": 2}, null]),
        ]
    );
    let quoted = &one(app, "bob", &ids[2]).await["reply_to"];
    let wanted = json!({"ms_id": ids[0], "seq": 1, "sender": "ann", "sender_name": "ANN", "type": "text", "preview": "几点？"});
    assert_eq!(*quoted, wanted);
    // Only the sender finds messages by reference.
    assert_eq!(listed(app, "ann", "/messages?ref=m-1").await, [4, 1]);
    assert_eq!(listed(app, "bob", "/messages?ref=m-1").await, [0_i64; 0]);
    assert_eq!(listed(app, "bob", "/search/messages?topic=会议").await, [6, 3, 1]);
    assert_eq!(listed(app, "bob", "/search/messages?topic=会议&q=三点").await, [3]);
    assert_eq!(listed(app, "ann", "/search/messages?topic=会议&status=received").await, [6, 3]);
    assert_eq!(listed(app, "eve", "/search/messages?topic=会议").await, [0_i64; 0]);
    // Who is not in the channel sees nothing of it.
    let eve = app.person("eve");
    for path in [
        format!("/messages/{}/replies", ids[0]),
        format!("/channels/{channel}/topics"),
        format!("/channels/{channel}/messages?topic=会议"),
    ] {
        eve.get(&path).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_thread_reads_the_same_hot_and_cold_and_after_recalls() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "eve"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let ids = thread(&aged, &channel).await;
    aged.settled().await;
    aged.indexed().await;
    check(&aged, &channel, &ids).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0);
    check(&aged, &channel, &ids).await;
    aged.until("SELECT count(*) FROM t_im_mark", 0).await;
    check(&aged, &channel, &ids).await;

    // A hot reply to a cold message: the listings cross the horizon.
    let late = send(
        &aged,
        "ann",
        &channel,
        saying("五点", json!({"reply_to": ids[0], "topic": "会议", "ref": "m-1"})),
    )
    .await;
    assert_eq!(listed(&aged, "bob", &format!("/messages/{}/replies", ids[0])).await, [3, 6, 7]);
    assert_eq!(of_topic(&aged, "bob", &channel, "会议").await, [7, 6, 3, 1]);
    assert_eq!(listed(&aged, "ann", "/messages?ref=m-1").await, [7, 4, 1]);
    assert_eq!(one(&aged, "bob", &ids[0]).await["reply_count"], 3);
    assert_eq!(one(&aged, "bob", &late).await["reply_to"]["preview"], "几点？");

    // A cold message is taken back: its replies no longer show it, and a reply that is taken back does not count.
    let root = aged.client("root", &["admin"]);
    for ms_id in [&ids[0], &ids[5]] {
        root.post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    }
    for reply in [&ids[2], &late] {
        let quoted = &one(&aged, "bob", reply).await["reply_to"];
        assert_eq!(
            (&quoted["preview"], &quoted["recalled"], &quoted["sender"]),
            (&Value::Null, &json!(true), &json!("ann"))
        );
    }
    assert_eq!(one(&aged, "bob", &ids[0]).await["reply_count"], 2);
    assert_eq!(listed(&aged, "bob", &format!("/messages/{}/replies", ids[0])).await, [3, 7]);
    assert_eq!(of_topic(&aged, "bob", &channel, "会议").await, [7, 3]);
    // The topic goes with the last message that has it.
    for ms_id in [&late, &ids[2]] {
        root.post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    }
    assert_eq!(listed_topics(&aged, "bob", &channel).await, Vec::<String>::new());
    assert_eq!(aged.count("SELECT count(*) FROM t_im_topic", &[]).await, 0);
}

async fn listed_topics(app: &TestApp, user: &str, channel: &str) -> Vec<String> {
    let topics = app.person(user).get(&format!("/channels/{channel}/topics")).await.expect(200);
    topics["items"].as_array().expect("items").iter().map(|topic| text(&topic["topic"])).collect()
}

#[tokio::test]
async fn a_page_of_recalled_cold_messages_ends_and_its_cursor_goes_on() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob"]).await;
    let channel = aged.group(&["ann", "bob"]).await;
    let mut ids = Vec::new();
    for n in 0..24 {
        ids.push(
            send(&aged, "ann", &channel, saying(&n.to_string(), json!({"topic": "t", "ref": "r"}))).await,
        );
    }
    aged.settled().await;
    aged.indexed().await;
    aged.app.clock("0").await;
    aged.move_all().await;
    // As it is between a recall and its write into the archive.
    let recalled: Vec<i64> = ids[1..].iter().map(|ms_id| ms_id.parse().expect("an id")).collect();
    let recall = "INSERT INTO t_im_recall (ms_id, channel_id, seq, sender, recalled_by, recalled_at, archived) \
                  SELECT ms_id, 1, 1 + ord, 'ann', 'root', now(), true FROM unnest($1::bigint[]) WITH ORDINALITY AS i (ms_id, ord)";
    aged.sql().await.execute(recall, &[&recalled]).await.expect("they are recalled");
    let path = format!("/channels/{channel}/messages?limit=1&topic=t");
    let page = aged.person("bob").get(&path).await.expect(200);
    assert_eq!(page["items"], json!([]), "a page reads the archive 20 times at most");
    assert!(page["next_cursor"].is_string(), "and goes on: {page}");
    assert_eq!(of_topic(&aged, "bob", &channel, "t").await, [1]);
    assert_eq!(listed(&aged, "ann", "/messages?ref=r").await, [1]);
}

/// Tables that hold a word anywhere.
async fn holding(app: &TestApp, word: &str) -> Vec<String> {
    let sql = app.sql().await;
    let tables = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relname LIKE 't_im_%'";
    let mut found = Vec::new();
    for row in sql.query(tables, &[]).await.expect("tables") {
        let table: String = row.get(0);
        let count =
            format!("SELECT count(*) FROM {table} AS held WHERE held::text LIKE '%' || $1::text || '%'");
        if sql.query_one(&count, &[&word]).await.expect("a count").get::<_, i64>(0) > 0 {
            found.push(table);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn nothing_of_a_recalled_message_is_left() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["oa", "bob"]).await;
    let portal = observer(&app, &["card.*", "message.*"]).await;
    let channel = app.group(&["oa", "bob"]).await;
    let card = json!({"title": "密件", "fields": [], "buttons": [{"id": "agree", "text": "密件"}]});
    let message = json!({"type": "card", "content": card, "topic": "密件", "ref": "密件", "data": {"密件": 1}, "mentions": ["bob"]});
    let ms_id = send(&app, "oa", &channel, message).await;
    let bob = app.person("bob");
    let act = json!({"button_id": "agree", "value": "同意密件"});
    bob.post(&format!("/messages/{ms_id}/actions"), act).await.expect(201);
    bob.put(&format!("/users/me/favourites/{ms_id}"), json!({})).await.expect(200);
    let is_action = |event: &ObservedEvent| event.what == "card.action" && event.data["value"] == "同意密件";
    portal.wait_for(|log| log.events().iter().any(is_action), LONG).await;
    app.settled().await;
    let before = holding(&app, "密件").await;
    for table in
        ["t_im_card_action", "t_im_channel", "t_im_favourite", "t_im_mark", "t_im_message", "t_im_topic"]
    {
        assert!(before.iter().any(|held| held == table), "{table}: {before:?}");
    }
    app.person("oa").post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    app.settled().await;
    assert_eq!(holding(&app, "密件").await, Vec::<String>::new());
    assert_eq!(app.count("SELECT count(*) FROM t_im_mention", &[]).await, 0);
}

/// ann speaks, cy joins a group that shows newcomers nothing, bob answers ann and then cy.
async fn with_newcomer(app: &TestApp) -> (String, Vec<String>) {
    app.people(&["ann", "bob", "cy"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    let secret = send(app, "ann", &channel, saying("往事", json!({}))).await;
    let join = json!({"user_ids": ["cy"]});
    app.person("ann").post(&format!("/channels/{channel}/members"), join).await.expect(200);
    let hello = send(app, "cy", &channel, saying("新人", json!({}))).await;
    (channel, vec![secret, hello])
}

async fn answer(app: &TestApp, channel: &str, ids: &mut Vec<String>) {
    for (words, to) in [("答旧事", 0), ("答新人", 1)] {
        let more = json!({"reply_to": ids[to], "topic": "话"});
        ids.push(send(app, "bob", channel, saying(words, more)).await);
    }
}

#[tokio::test]
async fn a_newcomer_learns_nothing_of_a_message_that_is_answered() {
    let app = TestApp::start().await;
    let (channel, mut ids) = with_newcomer(&app).await;
    let (mut cy, mut ann) = (app.person("cy").listen(None).await, app.person("ann").listen(None).await);
    cy.expect("hello").await;
    ann.expect("hello").await;
    let since = cy.last_id;
    answer(&app, &channel, &mut ids).await;
    let quotes = [(&mut cy, Value::Null), (&mut ann, json!("往事"))];
    for (stream, quote) in quotes {
        let told = stream.expect("message.created").await.data["data"].clone();
        assert_eq!((&told["ms_id"], &told["reply_to"]["preview"]), (&json!(ids[2]), &quote));
        assert_eq!(told["reply_to"].is_null(), quote.is_null(), "nor its id: {told}");
        let told = stream.expect("message.created").await.data["data"].clone();
        assert_eq!((&told["ms_id"], &told["reply_to"]["preview"]), (&json!(ids[3]), &json!("新人")));
    }
    // A stream that catches up.
    for (user, quote) in [("cy", Value::Null), ("ann", json!("往事"))] {
        let mut stream = app.person(user).listen(since).await;
        stream.expect("hello").await;
        let told = stream.expect("message.created").await.data["data"].clone();
        assert_eq!((&told["ms_id"], &told["reply_to"]["preview"]), (&json!(ids[2]), &quote));
    }
    // A push is one for all receivers.
    for user in ["ann", "cy"] {
        app.gateway.wait_for(|record| record.seen(&ids[3], user) > 0, LONG).await;
    }
    app.settled().await;
    app.gateway.read(|record| {
        let pushed = |ms_id: &str| {
            let mut messages = record.batches().flat_map(|batch| &batch.messages);
            messages.find(|message| message.ms_id == ms_id).expect("pushed").reply_to.clone()
        };
        assert_eq!(pushed(&ids[2]), None);
        assert_eq!(pushed(&ids[3]).expect("a quote")["preview"], "新人");
    });
}

#[tokio::test]
async fn a_newcomer_reads_no_quote_of_an_earlier_message_hot_or_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    let (channel, mut ids) = with_newcomer(&aged).await;
    answer(&aged, &channel, &mut ids).await;
    aged.settled().await;
    aged.indexed().await;
    for round in ["hot", "cold"] {
        for (user, quotes) in [("cy", json!([null, "新人"])), ("ann", json!(["往事", "新人"]))] {
            let mut pages = Vec::new();
            for query in ["?limit=10", "?after_seq=0&limit=10", "?topic=%E8%AF%9D"] {
                pages.push(
                    aged.person(user).get(&format!("/channels/{channel}/messages{query}")).await.expect(200),
                );
            }
            for query in ["?topic=话", "?sender=bob&status=received", "?topic=话&sender=bob"] {
                let path = format!("/search/messages{query}");
                if user == "cy" || !query.contains("status") {
                    pages.push(aged.person(user).get(&path).await.expect(200));
                }
            }
            pages.push(json!({"items": [one(&aged, user, &ids[2]).await, one(&aged, user, &ids[3]).await]}));
            for page in pages {
                let items = page["items"].as_array().expect("items");
                let quote = |ms_id: &String| {
                    let message = items.iter().find(|item| item["ms_id"] == *ms_id);
                    message.unwrap_or_else(|| panic!("{round} {user}: {page}"))["reply_to"].clone()
                };
                let (first, second) = (quote(&ids[2]), quote(&ids[3]));
                assert_eq!(json!([first["preview"], second["preview"]]), quotes, "{round} {user}");
                assert_eq!(first.is_null(), user == "cy", "nor its id: {first}");
            }
        }
        if round == "hot" {
            let unread = aged.person("cy").get("/sync").await;
            assert!(!unread.body.to_string().contains("往事"), "{:?}", unread.body);
            aged.app.clock("0").await;
            aged.move_all().await;
        }
    }
    // A forward by the newcomer takes nothing of it along.
    let own = aged.direct("cy", "ann").await;
    aged.person("cy")
        .post(&format!("/messages/{}/forward", ids[2]), json!({"channel_ids": [own]}))
        .await
        .expect(200);
    let copy = aged.person("ann").get(&format!("/channels/{own}/messages")).await.expect(200);
    assert!(!copy.to_string().contains("往事") && copy.to_string().contains("答旧事"), "{copy}");
}

#[tokio::test]
async fn a_hot_recall_takes_the_quote_and_the_count() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    let ids = thread(&app, &channel).await;
    for (ms_id, by) in [(&ids[0], "ann"), (&ids[5], "bob")] {
        app.person(by).post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    }
    let quoted = &one(&app, "bob", &ids[2]).await["reply_to"];
    assert_eq!((&quoted["preview"], &quoted["recalled"]), (&Value::Null, &json!(true)));
    assert_eq!(one(&app, "bob", &ids[0]).await["reply_count"], 1);
    assert_eq!(listed(&app, "bob", &format!("/messages/{}/replies", ids[0])).await, [3]);
    assert_eq!(of_topic(&app, "bob", &channel, "会议").await, [3]);
    assert_eq!(listed(&app, "ann", "/messages?ref=m-1").await, [4]);
    let topics =
        app.person("bob").get(&format!("/channels/{channel}/topics")).await.expect(200)["items"].clone();
    assert_eq!((&topics[0]["last_seq"], &topics[0]["last_ms_id"]), (&json!(3), &json!(ids[2])));
    let gone = one(&app, "bob", &ids[5]).await;
    assert_eq!(
        (&gone["reply_to"], &gone["topic"], &gone["data"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    // One can still answer what was taken back, and sees that it was.
    let late = send(&app, "bob", &channel, saying("?", json!({"reply_to": ids[0]}))).await;
    assert_eq!(one(&app, "ann", &late).await["reply_to"]["recalled"], json!(true));
    app.settled().await;
}

#[tokio::test]
async fn a_reply_is_pushed_and_streamed_with_what_it_answers() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let asked = text(&app.say("ann", &channel, "几点？").await["ms_id"]);
    let mut stream = app.person("ann").listen(None).await;
    stream.expect("hello").await;
    let more = json!({"reply_to": asked, "topic": "会议", "data": {"a": [1, null]}, "ref": "r"});
    let sent = send(&app, "bob", &channel, saying("三点", more)).await;
    let told = stream.expect("message.created").await.data;
    assert_fits("StreamedEvent", &told);
    let message = &told["data"];
    assert_eq!(
        (&message["topic"], &message["data"], &message["ref"]),
        (&json!("会议"), &json!({"a": [1, null]}), &json!("r"))
    );
    assert_eq!(
        (&message["reply_to"]["ms_id"], &message["reply_to"]["preview"]),
        (&json!(asked), &json!("几点？"))
    );
    app.gateway.wait_for(|r| r.seen(&sent, "ann") > 0, LONG).await;
    app.settled().await;
    app.gateway.read(|record| {
        let mut messages = record.batches().flat_map(|batch| &batch.messages);
        let pushed = messages.find(|m| m.ms_id == sent).expect("pushed");
        assert_eq!(pushed.reply_to.as_ref().expect("a quote")["preview"], "几点？");
        assert_eq!((&pushed.topic, &pushed.data), (&Some("会议".to_owned()), &Some(json!({"a": [1, null]}))));
    });
}

#[tokio::test]
async fn wrong_replies_topics_and_data_are_refused_with_their_place() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob", "cy", "eve"]).await;
    let (channel, other) = (app.group(&["ann", "bob"]).await, app.direct("ann", "cy").await);
    let first = text(&app.say("ann", &channel, "1").await["ms_id"]);
    let elsewhere = text(&app.say("ann", &other, "1").await["ms_id"]);
    app.person("ann")
        .post(&format!("/channels/{channel}/members"), json!({"user_ids": ["cy"]}))
        .await
        .expect(200);
    let path = format!("/channels/{channel}/messages");
    let refused = [
        ("ann", json!({"reply_to": elsewhere}), "/reply_to"),
        ("ann", json!({"reply_to": "1"}), "/reply_to"),
        ("ann", json!({"reply_to": 7}), "/reply_to"),
        // Who joined later does not see it.
        ("cy", json!({"reply_to": first}), "/reply_to"),
        ("ann", json!({"topic": ""}), "/topic"),
        ("ann", json!({"topic": "a\nb"}), "/topic"),
        ("ann", json!({"topic": "x".repeat(65)}), "/topic"),
        ("ann", json!({"ref": "\u{200b}"}), "/ref"),
        ("ann", json!({"ref": "x".repeat(129)}), "/ref"),
        ("ann", json!({"data": [1]}), "/data"),
        ("ann", json!({"data": {"a": "x".repeat(4_096)}}), "/data"),
        ("ann", json!({"data": {"a": "\u{0}"}}), "/data"),
    ];
    for (sender, more, pointer) in refused {
        let reply = app.person(sender).post(&path, saying("x", more.clone())).await;
        assert_eq!(reply.expect_problem(422, "invalid-field")["pointer"], pointer, "{more}");
    }
    // A stranger does not learn whether there is such a message.
    for ms_id in [first.as_str(), elsewhere.as_str(), "1"] {
        let reply = app.person("eve").post(&path, saying("x", json!({"reply_to": ms_id}))).await;
        reply.expect_problem(404, "not-found");
    }
    let item = |more: Value| {
        let mut item = saying("x", more);
        item["channel_id"] = json!(channel);
        item
    };
    let items = json!([
        item(json!({"reply_to": first})),
        item(json!({"reply_to": elsewhere})),
        item(json!({"topic": "\n"})),
        item(json!({"reply_to": first, "mentions": ["eve"]}))
    ]);
    let results = app.person("ann").post("/messages", items).await.expect(200)["results"].clone();
    let statuses: Vec<i64> =
        results.as_array().expect("results").iter().filter_map(|r| r["status"].as_i64()).collect();
    assert_eq!(statuses, [201, 422, 422, 422]);
    let pointers: Vec<&Value> =
        results.as_array().expect("results")[1..].iter().map(|r| &r["problem"]["pointer"]).collect();
    assert_eq!(pointers, ["/1/reply_to", "/2/topic", "/3/mentions/0"]);
    // Nothing of what was refused is left.
    assert_eq!(app.count("SELECT count(*) FROM t_im_mark", &[]).await, 1);
    assert_eq!(app.count("SELECT replies FROM t_im_reply_count", &[]).await, 1);
    app.person("cy").get(&format!("/messages/{first}/replies")).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn wrong_parameters_of_topics_and_references_are_refused_with_their_name() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.group(&["ann", "bob"]).await;
    app.say("ann", &channel, "1").await;
    app.say("ann", &channel, "2").await;
    let (ann, path) = (app.person("ann"), format!("/channels/{channel}/messages"));
    for (path, parameter) in [
        (format!("{path}?topic=a&after_seq=0"), "topic"),
        (format!("{path}?topic="), "topic"),
        ("/messages?ref=".to_owned(), "ref"),
        ("/messages".to_owned(), "ref"),
        ("/search/messages?topic=".to_owned(), "topic"),
    ] {
        assert_eq!(
            ann.get(&path).await.expect_problem(400, "invalid-parameter")["pointer"],
            parameter,
            "{path}"
        );
    }
    for (path, limit) in
        [(format!("{path}?topic=a%0Ab"), "64 characters"), ("/messages?ref=".into(), "128 characters")]
    {
        let problem = ann.get(&path).await.expect_problem(400, "invalid-parameter");
        assert!(text(&problem["detail"]).contains(limit), "it says what is allowed: {problem}");
    }
    // A cursor of another listing.
    let page = ann.get(&format!("{path}?limit=1")).await.expect(200);
    let topical = ann.get(&format!("{path}?limit=1&topic=%E4%BC%9A")).await.expect(200);
    assert_eq!(topical["items"].as_array().expect("items").len(), 0);
    let cursor = text(&page["next_cursor"]);
    let problem = ann.get(&format!("{path}?topic=a&cursor={cursor}")).await;
    assert_eq!(problem.expect_problem(400, "invalid-parameter")["pointer"], "cursor");
    ann.get("/messages/1/replies").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn what_connects_a_message_is_a_part_of_its_client_id() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let channel = app.direct("ann", "bob").await;
    let first = text(&app.say("ann", &channel, "1").await["ms_id"]);
    let path = format!("/channels/{channel}/messages");
    let body = |more: Value| {
        let mut body = saying("x", more);
        body["client_id"] = json!("k");
        body
    };
    let said = json!({"reply_to": first, "topic": "t", "data": {"b": 1, "a": 2}, "ref": "r"});
    let sent = app.person("ann").post(&path, body(said.clone())).await.expect(201);
    let again = app
        .person("ann")
        .post(&path, body(json!({"reply_to": first, "topic": "t", "data": {"a": 2, "b": 1}, "ref": "r"})))
        .await;
    assert_eq!(again.expect(200)["ms_id"], sent["ms_id"]);
    for field in ["reply_to", "topic", "data", "ref"] {
        let mut other = said.clone();
        other.as_object_mut().expect("an object").remove(field);
        app.person("ann").post(&path, body(other)).await.expect_problem(409, "client-id-reused");
    }
    assert_eq!(app.count("SELECT replies FROM t_im_reply_count", &[]).await, 1);
}
