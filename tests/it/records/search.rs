//! Found again: one's own messages by words and more, support's look at everybody's, and the audit of it.

use std::collections::BTreeMap;
use std::time::Instant;

use im_push_gateway::app::App;
use im_push_gateway::base::audit::{self, Action, Entry};
use im_push_gateway::base::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::error::SqlState;

use crate::app::{LONG, TestApp, config, text};
use crate::archive::moving::Aged;
use crate::support::{Answer, Client, shared};

/// The text, or the name of the file or picture, of every message or hit.
fn words(items: &[Value]) -> Vec<String> {
    let of = |item: &Value| {
        let content = &item["content"];
        let said = content["text"].as_str().or(content["name"].as_str());
        said.unwrap_or_default().to_owned()
    };
    items.iter().map(of).collect()
}

/// What somebody finds, newest first.
async fn found(app: &TestApp, person: &str, query: &str) -> Vec<String> {
    words(&app.all(&app.person(person), &format!("/search/messages?{query}")).await)
}

async fn send_file(app: &TestApp, sender: &str, channel: &str, name: &str) -> Value {
    let content = json!({"url": "/files/1", "name": name, "size": 1, "media_type": "application/pdf"});
    let path = format!("/channels/{channel}/messages");
    app.person(sender).post(&path, json!({"type": "file", "content": content})).await.expect(201)
}

fn desk(app: &TestApp) -> Client {
    app.client("desk", &["support"])
}

fn root(app: &TestApp) -> Client {
    app.client("root", &["admin"])
}

fn folder() -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder");
    let url = format!("\"embedded:{}\"", folder.path().display());
    (folder, url)
}

/// Waits until `/readyz` says this of the archive. It is 200 all the while.
async fn archive_is(app: &TestApp, wanted: &str) -> Value {
    let (probe, started) = (Client::anonymous(&app.base), Instant::now());
    loop {
        let readiness = probe.get("/readyz").await.expect(200);
        if readiness["archive"] == wanted {
            return readiness;
        }
        assert!(started.elapsed() < LONG, "still {readiness}, not {wanted}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

// ── what a person finds ──────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_person_finds_their_own_messages_by_words() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy"]).await;
    let group = app.group(&["ann", "bob"]).await;
    for said in ["季度报告已发，请查收", "預算會議改到週五", "annual report attached", "the report is annual"]
    {
        app.say("ann", &group, said).await;
    }
    send_file(&app, "bob", &group, "合同 final v2.pdf").await;
    app.indexed().await;
    for (query, expected) in [
        ("报", &["季度报告已发，请查收"][..]),
        ("报告", &["季度报告已发，请查收"]),
        ("季度報告", &["季度报告已发，请查收"]),
        ("预算会议", &["預算會議改到週五"]),
        ("告报", &[]),
        ("合同", &["合同 final v2.pdf"]),
        ("ＦＩＮＡＬ", &["合同 final v2.pdf"]),
        ("v2 pdf", &["合同 final v2.pdf"]),
        ("annual report", &["the report is annual", "annual report attached"]),
        ("\"annual report\"", &["annual report attached"]),
        ("annual 报告", &[]),
    ] {
        assert_eq!(found(&app, "bob", &format!("q={query}")).await, expected, "{query}");
        assert_eq!(found(&app, "ann", &format!("q={query}")).await, expected, "{query}");
        assert!(found(&app, "cy", &format!("q={query}")).await.is_empty(), "{query}");
    }
    assert_eq!(found(&app, "bob", "").await.len(), 5, "nothing asked for finds everything");

    let hit = app.person("bob").get("/search/messages?q=報告 查收").await.expect(200)["items"][0].take();
    let piece = |text: &str, hit: bool| json!({"text": text, "hit": hit});
    assert_eq!(
        hit["highlight"],
        json!([piece("季度", false), piece("报告", true), piece("已发，请", false), piece("查收", true)])
    );
    assert_eq!((&hit["sender_name"], &hit["seq"], hit.get("status")), (&json!("ANN"), &json!(1), None));
    let long = format!("{} needle {}", "hay ".repeat(100), "hay ".repeat(100));
    app.say("ann", &group, &long).await;
    app.indexed().await;
    let hit = app.person("bob").get("/search/messages?q=NEEDLE").await.expect(200)["items"][0].take();
    let pieces = hit["highlight"].as_array().unwrap();
    assert_eq!((&pieces[0], &pieces[2]), (&piece("…", false), &piece("needle", true)));
    assert_eq!(words(&[hit]), [long], "the message itself is whole");
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_read() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy", "dee", "eve"]).await;
    let group = app.group(&["ann", "bob", "eve"]).await;
    let direct = app.direct("ann", "bob").await;
    app.say("ann", &group, "secret one").await;
    app.say("ann", &direct, "secret two").await;
    let add = json!({"user_ids": ["dee"]});
    app.person("ann").post(&format!("/channels/{group}/members"), add.clone()).await.expect(200);
    app.say("eve", &group, "secret three").await;
    app.person("eve").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    app.say("bob", &group, "secret four").await;
    app.indexed().await;
    let all = ["secret four", "secret three", "secret two", "secret one"];
    assert_eq!(found(&app, "bob", "q=secret").await, all);
    assert_eq!(found(&app, "dee", "q=secret").await, all[..2], "a newcomer who sees nothing earlier");
    assert_eq!(found(&app, "dee", "sender=ann").await, [""; 0]);
    for (person, who) in [("eve", "who left keeps nothing"), ("cy", "a stranger")] {
        for query in [
            "q=secret",
            "",
            "sender=ann",
            "receiver=bob",
            "status=unreceived&receiver=bob",
            "status=received",
        ] {
            assert_eq!(found(&app, person, query).await, [""; 0], "{who}: {query}");
        }
        for query in ["", "&q=secret", "&status=received", "&receiver=bob"] {
            let path = format!("/search/messages?channel_id={group}{query}");
            app.person(person).get(&path).await.expect_problem(404, "not-found");
        }
    }
    app.person("bob").get("/search/messages?channel_id=999999").await.expect_problem(404, "not-found");
    assert_eq!(found(&app, "bob", &format!("q=secret&channel_id={direct}")).await, ["secret two"]);
    // A status search tells of others no more than reading does.
    app.settled().await;
    assert_eq!(found(&app, "dee", "status=received&receiver=bob").await, ["secret three"]);
    assert_eq!(
        found(&app, "ann", "status=received&receiver=bob").await,
        ["secret three", "secret two", "secret one"]
    );

    // Coming back begins anew; what was before stays as it was seen then.
    let back = json!({"user_ids": ["eve"]});
    app.person("ann").post(&format!("/channels/{group}/members"), back).await.expect(200);
    app.say("ann", &group, "secret five").await;
    app.indexed().await;
    let eve = found(&app, "eve", "q=secret").await;
    let read = words(&app.all(&app.person("eve"), &format!("/channels/{group}/messages?limit=50")).await);
    assert_eq!(eve, read, "finding shows what reading shows");
    assert!(!eve.contains(&"secret four".to_owned()));
}

#[tokio::test]
async fn everything_that_is_given_must_hold() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy"]).await;
    let group = app.group(&["ann", "bob", "cy"]).await;
    let direct = app.direct("ann", "bob").await;
    let mut sent = Vec::new();
    for (sender, channel, said) in [
        ("ann", &group, "plan a"),
        ("bob", &group, "plan b"),
        ("bob", &direct, "plan c"),
        ("ann", &direct, "plan d"),
    ] {
        sent.push(app.say(sender, channel, said).await);
    }
    send_file(&app, "cy", &group, "plan.pdf").await;
    app.indexed().await;
    for (query, expected) in [
        ("sender=bob", &["plan c", "plan b"][..]),
        ("direction=from_me", &["plan d", "plan a"]),
        ("direction=to_me", &["plan.pdf", "plan c", "plan b"]),
        ("receiver=cy", &["plan b", "plan a"]),
        ("receiver=cy&sender=ann", &["plan a"]),
        ("direction=to_me&sender=cy", &["plan.pdf"]),
        ("direction=from_me&receiver=cy", &["plan a"]),
        ("type=file", &["plan.pdf"]),
        ("type=text&q=plan&sender=ann", &["plan d", "plan a"]),
        ("type=picture", &[]),
    ] {
        assert_eq!(found(&app, "ann", query).await, expected, "{query}");
    }
    assert_eq!(found(&app, "ann", &format!("channel_id={direct}&receiver=cy")).await, [""; 0]);

    // From a moment on and before another, in whatever zone they are said.
    let moment =
        |sent: &Value| OffsetDateTime::parse(sent["server_time"].as_str().unwrap(), &Rfc3339).unwrap();
    let (from, to) = (moment(&sent[1]), moment(&sent[3]));
    let zone = time::UtcOffset::from_hms(8, 0, 0).unwrap();
    let said = |time: OffsetDateTime| time.to_offset(zone).format(&Rfc3339).unwrap().replace('+', "%2B");
    let between = format!("from={}&to={}", said(from), said(to));
    assert_eq!(found(&app, "ann", &between).await, ["plan c", "plan b"]);
    assert_eq!(found(&app, "ann", &format!("{between}&q=plan&limit=1")).await, ["plan c", "plan b"]);
    assert_eq!(found(&app, "ann", &format!("to={}", said(moment(&sent[0])))).await, [""; 0]);
    app.settled().await;
    assert_eq!(
        found(&app, "ann", &format!("{between}&status=received&receiver=ann")).await,
        ["plan c", "plan b"]
    );
}

#[tokio::test]
async fn people_are_named_by_id_or_by_name() {
    let app = TestApp::with_archive("").await;
    let hr = app.client("hr", &["directory"]);
    let user = |id: &str, name: &str, rest: Value| {
        let mut user = json!({"user_id": id, "name": name});
        user.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        user
    };
    let users = json!([
        user("ann", "Ann", json!({})),
        user("maria.weber", "Maria Weber", json!({})),
        user("maria.lopez", "Maria López", json!({})),
        user("u4", "李四", json!({})),
        user("u5", "李四光", json!({})),
        user("guest", "Guest", json!({"kind": "external"})),
    ]);
    hr.post("/directory/changes", json!({"users": users})).await.expect(200);
    let group = app.group(&["ann", "maria.weber", "maria.lopez", "u4", "u5"]).await;
    for (sender, said) in [("maria.weber", "one"), ("maria.lopez", "two"), ("u4", "three"), ("u5", "four")] {
        app.say(sender, &group, said).await;
    }
    let left = user("maria.lopez", "Maria López", json!({"active": false}));
    hr.post("/directory/changes", json!({"users": [left]})).await.expect(200);
    app.indexed().await;
    let desk = desk(&app);
    for (typed, expected) in [
        ("maria.weber", "one"),
        ("Maria Weber", "one"),
        ("weber", "one"),
        ("maria lopez", "two"),
        ("u4", "three"),
        ("李四", "three"),
        ("李四光", "four"),
    ] {
        assert_eq!(found(&app, "ann", &format!("sender={typed}")).await, [expected], "{typed}");
        let page = desk.get(&format!("/support/messages?sender={typed}&reason=x")).await.expect(200);
        assert_eq!(words(page["items"].as_array().unwrap()), [expected], "{typed}");
    }
    assert_eq!(app.all(&root(&app), "/audit?limit=1").await[0]["filter"], json!({"sender": "u5"}));
    for name in ["sender", "receiver"] {
        let path = format!("/support/messages?{name}=Maria&reason=x");
        let problem = desk.get(&path).await.expect_problem(400, "invalid-parameter");
        assert_eq!(problem["pointer"], name);
        let detail = text(&problem["detail"]);
        for one in ["maria.weber (Maria Weber)", "maria.lopez (Maria López, has left)"] {
            assert!(detail.contains(one), "{detail}");
        }
        for unknown in ["nobody", "，"] {
            let path = format!("/support/messages?{name}={unknown}&reason=x");
            assert_eq!(desk.get(&path).await.expect_problem(400, "invalid-parameter")["pointer"], name);
        }
    }
    // An external person does not learn who there is.
    for typed in ["maria.weber", "Maria", "weber", "nobody"] {
        assert_eq!(found(&app, "guest", &format!("sender={typed}")).await, [""; 0], "{typed}");
    }
}

#[tokio::test]
async fn a_day_is_one_of_the_company_s_time_zone() {
    let app = TestApp::with_archive("time_zone = \"Asia/Shanghai\"\n").await;
    app.people(&["ann", "bob"]).await;
    let direct = app.direct("ann", "bob").await;
    let sent = app.say("ann", &direct, "today").await;
    app.indexed().await;
    let moment = OffsetDateTime::parse(&text(&sent["server_time"]), &Rfc3339).unwrap();
    let today = moment.to_offset(time::UtcOffset::from_hms(8, 0, 0).unwrap()).date();
    let (before, after) = (today.previous_day().unwrap(), today.next_day().unwrap());
    for (query, count) in [
        (format!("from={today}&to={today}"), 1),
        (format!("from={before}&to={before}"), 0),
        (format!("from={after}"), 0),
        (format!("to={before}"), 0),
        (format!("from={today}&to={after}&q=today"), 1),
    ] {
        assert_eq!(found(&app, "ann", &query).await.len(), count, "{query}");
    }
}

#[tokio::test]
async fn what_makes_no_search_is_refused_by_name() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob"]).await;
    let ann = app.person("ann");
    for (query, pointer) in [
        ("q=", "q"),
        ("q=%20!?", "q"),
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-1-1", "from"),
        ("status=lost", "status"),
        ("type=sticker", "type"),
        ("channel_id=abc", "channel_id"),
        ("sender=a,b", "sender"),
        ("sender=nobody", "sender"),
        ("receiver=%20", "receiver"),
        ("direction=sideways", "direction"),
        ("direction=from_me&sender=bob", "direction"),
        ("direction=to_me&receiver=bob", "direction"),
        ("direction=from_me&status=read", "status"),
        ("cursor=nonsense", "cursor"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("reason=curious", "reason"),
        ("format=csv", "format"),
    ] {
        let problem =
            ann.get(&format!("/search/messages?{query}")).await.expect_problem(400, "invalid-parameter");
        assert_eq!(problem["pointer"], pointer, "{query}");
    }
    let long = "长".repeat(201);
    ann.get(&format!("/search/messages?q={long}")).await.expect_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn a_cursor_stays_where_it_is_while_messages_arrive() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    for i in 0..25 {
        app.say("ann", &group, &format!("page {i}")).await;
    }
    app.settled().await;
    app.indexed().await;
    let expected: Vec<String> = (0..25).rev().map(|i| format!("page {i}")).collect();
    for query in ["q=page", "status=received", "sender=ann"] {
        let (mut all, mut path) = (Vec::new(), format!("/search/messages?{query}&limit=10"));
        for round in 0.. {
            let page = app.person("bob").get(&path).await.expect(200);
            all.extend(words(page["items"].as_array().unwrap()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            assert!(round < 5, "it ends");
            path = format!("/search/messages?{query}&limit=10&cursor={cursor}");
            app.say("ann", &group, "and another page").await;
            app.settled().await;
            app.indexed().await;
        }
        all.retain(|said| said != "and another page" || query == "q=page");
        assert_eq!(all, expected, "{query}");
    }
}

#[tokio::test]
async fn what_somebody_did_not_get_is_found() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy"]).await;
    let group = app.group(&["ann", "bob", "cy"]).await;
    let direct = app.direct("cy", "bob").await;
    for (sender, channel, said, gets) in [
        ("ann", &group, "one", true),
        ("ann", &group, "two", false),
        ("cy", &direct, "three", false),
        ("cy", &group, "four", true),
        ("bob", &group, "mine", true),
        ("ann", &group, "five", false),
    ] {
        let offline: &[&str] = if gets { &[] } else { &["bob"] };
        let answer = Answer::all_except(offline, &[]);
        app.gateway.answer(move |_| answer.clone());
        app.say(sender, channel, said).await;
        app.settled().await;
    }
    app.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": 1})).await.expect(200);
    let desk = desk(&app);
    for (query, expected) in [
        ("status=read", &["one"][..]),
        ("status=received", &["four"]),
        ("status=unreceived", &["five", "three", "two"]),
        ("status=unreceived&sender=ann", &["five", "two"]),
        ("status=unreceived&q=three", &["three"]),
        ("status=unreceived&q=four", &[]),
    ] {
        let path = format!("/support/messages?receiver=bob&reason=ticket&{query}");
        let page = desk.get(&path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert_eq!(words(items), expected, "{query}");
        assert_eq!(page["next_cursor"], Value::Null, "{query}");
        assert!(items.iter().all(|item| query.contains(item["status"].as_str().unwrap())));
        // It is the person themselves, unless another is named.
        assert_eq!(found(&app, "bob", query).await, expected, "{query}");
        assert_eq!(found(&app, "bob", &format!("{query}&direction=to_me")).await, expected, "{query}");
    }
    let of_channel = format!("status=unreceived&channel_id={group}");
    assert_eq!(found(&app, "bob", &of_channel).await, ["five", "two"]);
    assert_eq!(
        found(&app, "bob", "status=unreceived&limit=1").await,
        ["five", "three", "two"],
        "page by page"
    );
    assert_eq!(found(&app, "ann", "status=unreceived&receiver=bob").await, ["five", "two"]);
    // A read is a read at once, whatever the rows of the ledger say yet.
    app.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": 5})).await.expect(200);
    assert_eq!(found(&app, "bob", "status=unreceived").await, ["three"]);
    assert_eq!(found(&app, "bob", "status=read").await, ["five", "four", "two", "one"]);
    app.settled().await;
    assert_eq!(found(&app, "bob", "status=read").await, ["five", "four", "two", "one"]);
    let problem =
        desk.get("/support/messages?status=read&reason=x").await.expect_problem(400, "invalid-parameter");
    assert_eq!(problem["pointer"], "status");
}

#[tokio::test]
async fn a_search_by_status_goes_on_where_records_are_cold() {
    let mut aged = Aged::embedded().await;
    aged.app.gateway.answer(|_| Answer::all_except(&["bob"], &[]));
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob"]).await;
    let group = aged.group(&["ann", "bob"]).await;
    let mut sent = Vec::new();
    for (day, offset) in ["-40 days", "-39 days", "-38 days", "0"].into_iter().enumerate() {
        aged.app.clock(offset).await;
        for i in 0..3 {
            sent.push(aged.say("ann", &group, &format!("day {day} message {i}")).await);
        }
        aged.settled().await;
    }
    aged.person("bob").post(&format!("/channels/{group}/read"), json!({"seq": 2})).await.expect(200);
    aged.settled().await;
    aged.indexed().await;
    let queries = [
        "status=unreceived",
        "status=unreceived&limit=1",
        "status=unreceived&limit=2&q=message",
        "status=read",
        "status=received",
        "q=message&limit=2",
        "receiver=bob&limit=5",
    ];
    let mut before = Vec::new();
    for query in queries {
        before.push(found(&aged, "bob", query).await);
    }
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 2, 0, 12, 12]);
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 3, "the rest is cold");
    for (query, before) in queries.into_iter().zip(&before) {
        assert_eq!(&found(&aged, "bob", query).await, before, "{query}");
    }
    // What comes late for cold messages counts at once, and stays so.
    let receipt = json!([{"ms_id": sent[4]["ms_id"], "receiver": "bob", "status": "received"}]);
    aged.client("gw", &["gateway"]).post("/receipts", receipt).await.expect(200);
    let root = aged.client("root", &["admin"]);
    root.post(&format!("/messages/{}/recall", text(&sent[5]["ms_id"])), json!({})).await.expect(200);
    for _ in 0..2 {
        assert_eq!(found(&aged, "bob", "status=received").await, ["day 1 message 1"]);
        assert_eq!(found(&aged, "bob", "status=unreceived").await.len(), 9);
        assert_eq!(
            found(&aged, "bob", "status=unreceived&q=message").await.len(),
            8,
            "recalled: by no words"
        );
        assert_eq!(found(&aged, "bob", "q=message").await.len(), 11);
        let waiting = "SELECT (SELECT count(*) FROM t_im_receipt_pending) \
             + (SELECT count(*) FROM t_im_recall WHERE NOT archived)";
        aged.until(waiting, 0).await;
    }
    assert_eq!(found(&aged, "ann", "status=read&receiver=bob").await.len(), 2);
}

// ── support and the audit ────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn support_sees_everything_with_a_reason_and_leaves_a_trace() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy", "desk"]).await;
    let (direct, group) = (app.direct("ann", "bob").await, app.group(&["bob", "cy"]).await);
    let sent = app.say("ann", &direct, "about the invoice").await;
    app.say("cy", &group, "the invoice again").await;
    app.settled().await;
    app.indexed().await;
    let desk = desk(&app);
    for path in ["/support/messages?q=invoice", "/support/messages/export?q=invoice&format=csv"] {
        for reason in
            ["", "&reason=", "&reason=%20", &format!("&reason={}", "x".repeat(501)), "&reason=a%0Ab"]
        {
            let problem = desk.get(&format!("{path}{reason}")).await.expect_problem(400, "invalid-parameter");
            assert_eq!(problem["pointer"], "reason", "{reason}");
        }
        let path = format!("{path}&reason=curious");
        for (who, roles) in [("ann", &[][..]), ("gw", &["gateway", "directory", "user"])] {
            app.client(who, roles).get(&path).await.expect_problem(403, "forbidden");
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_audit", &[]).await, 0, "who saw nothing left nothing");

    let found = desk.get("/support/messages?q=invoice&reason=ticket+4711").await.expect(200);
    assert_eq!(words(found["items"].as_array().unwrap()), ["the invoice again", "about the invoice"]);
    let one = format!("/support/messages?receiver=bob&sender=ann&channel_id={direct}&type=text&reason=why");
    assert_eq!(desk.get(&one).await.expect(200)["items"].as_array().unwrap().len(), 1);
    let first = desk.get("/support/messages?limit=1&reason=pages").await.expect(200);
    let cursor = text(&first["next_cursor"]);
    root(&app).get(&format!("/support/messages?limit=1&reason=pages&cursor={cursor}")).await.expect(200);
    let receipts = format!("/messages/{}/receipts", text(&sent["ms_id"]));
    desk.get(&format!("{receipts}?reason=ticket+4712&status=read")).await.expect(200);
    desk.get(&receipts).await.expect_problem(400, "invalid-parameter");
    app.person("bob").get(&receipts).await.expect(200);
    app.person("bob").get(&format!("{receipts}?reason=%09")).await.expect_problem(400, "invalid-parameter");

    let audit = app.all(&root(&app), "/audit").await;
    let ms_id = &sent["ms_id"];
    let entry = |actor: &str, action: &str, reason: Value, filter: Value, results: i64| json!({"actor": actor, "action": action, "reason": reason, "filter": filter, "results": results});
    let expected = [
        entry("desk", "search", json!("ticket 4711"), json!({"q": "invoice"}), 2),
        entry(
            "desk",
            "search",
            json!("why"),
            json!({"receiver": "bob", "sender": "ann", "channel_id": direct, "type": "text"}),
            1,
        ),
        entry("desk", "search", json!("pages"), json!({}), 1),
        entry("root", "search", json!("pages"), json!({"cursor": cursor}), 1),
        entry("desk", "receipts", json!("ticket 4712"), json!({"ms_id": ms_id, "status": "read"}), 0),
    ];
    let mut kept = audit.clone();
    kept.reverse();
    for entry in &mut kept {
        let entry = entry.as_object_mut().unwrap();
        entry.remove("audit_id").unwrap();
        entry.remove("at").unwrap();
    }
    assert_eq!(kept, expected, "a person's own look leaves no trace");

    // The admin's alone, page by page, of all or of one.
    assert_eq!(app.all(&root(&app), "/audit?limit=2").await, audit);
    let path = "/audit?actor=root";
    assert_eq!(root(&app).get(path).await.expect(200)["items"].as_array().unwrap().len(), 1);
    desk.get("/audit").await.expect_problem(403, "forbidden");
    app.person("ann").get("/audit").await.expect_problem(403, "forbidden");
    root(&app).get("/audit?actor=%20").await.expect_problem(400, "invalid-parameter");
    desk.get("/archive/runs").await.expect(200);
    app.person("ann").get("/archive/runs").await.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn the_audit_only_grows() {
    let (cluster, role) = (shared(), "im_service");
    let database = cluster.fresh_database(None).await;
    let superuser = cluster.connect(&database).await;
    superuser
        .batch_execute(&format!("CREATE ROLE {role} LOGIN; ALTER DATABASE {database} OWNER TO {role}"))
        .await
        .unwrap();
    let url = cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let settings = config(&database, &format!("database_url = \"{url}\""));
    let store = Store::new(&settings).unwrap();
    store.migrate(&settings).await.unwrap();
    let entry = Entry {
        at: store.now().await.unwrap(),
        actor: "desk",
        action: Action::Search,
        reason: Some("a test"),
        filter: json!({}),
        results: Some(1),
    };
    audit::append(&store, entry).await.unwrap();
    let service = store.client().await.unwrap();
    for change in [
        "UPDATE t_im_audit SET actor = 'nobody'",
        "UPDATE t_im_audit SET actor = 'nobody' WHERE false",
        "DELETE FROM t_im_audit",
        "TRUNCATE t_im_audit",
        "INSERT INTO t_im_audit (audit_id, at, actor, action, filter) OVERRIDING SYSTEM VALUE \
         SELECT audit_id, now(), 'nobody', 'search', '{}' FROM t_im_audit \
         ON CONFLICT (audit_id) DO UPDATE SET actor = 'nobody'",
    ] {
        for (who, refused) in [
            ("the service", service.batch_execute(change).await),
            ("a superuser", superuser.batch_execute(change).await),
        ] {
            let refused = refused.expect_err(change);
            assert_eq!(
                refused.code(),
                Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                "{who}: {change}: {refused:?}"
            );
        }
    }
    let kept = audit::list(&store, i64::MAX, None, 10).await.unwrap();
    assert_eq!(kept.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>(), ["desk"]);
    drop(service);
}

/// The lines of a CSV file, as RFC 4180 has them.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    assert!(row.is_empty() && field.is_empty() && !quoted, "it ends with its last line");
    rows
}

/// The line of a hit.
fn row_of(hit: &Value) -> [String; 12] {
    let recalled = &hit["recalled"];
    let content = match hit["content"]["text"].as_str() {
        _ if recalled.is_object() => String::new(),
        Some(text) if text.trim_start().starts_with(['=', '+', '-', '@', '＝']) => format!("'{text}"),
        Some(text) => text.to_owned(),
        None => hit["content"].to_string(),
    };
    let given = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // As text, so that a spreadsheet keeps all its digits.
    let id = |value: &Value| format!("=\"{}\"", text(value));
    [
        id(&hit["ms_id"]),
        id(&hit["channel_id"]),
        hit["seq"].to_string(),
        text(&hit["server_time"]),
        text(&hit["sender"]),
        text(&hit["sender_name"]),
        text(&hit["type"]),
        content,
        given(&recalled["by"]),
        given(&recalled["at"]),
        given(&hit["status"]),
        given(&hit["mentions"]),
    ]
}

#[tokio::test]
async fn an_export_is_the_whole_search() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    let odd =
        ["=HYPERLINK(\"x\") item", "+1 item", "@item", "＝1 item", "a,\"b\"\r\nitem,", "- item", "\t =item"];
    let sends: Vec<Value> = (0..450)
        .map(|i| {
            let said = odd.get(i).map_or_else(|| format!("item {i}"), |odd| (*odd).to_owned());
            json!({"channel_id": group, "type": "text", "content": {"text": said}})
        })
        .collect();
    app.person("ann").post("/messages", json!(sends)).await.expect(200);
    send_file(&app, "ann", &group, "item.pdf").await;
    let taken_back = app.say("ann", &group, "item taken back").await;
    app.person("ann")
        .post(&format!("/messages/{}/recall", text(&taken_back["ms_id"])), json!({}))
        .await
        .expect(200);
    app.settled().await;
    app.indexed().await;
    let desk = desk(&app);
    for (filter, count) in
        [("q=item", 451), ("sender=ann", 452), ("receiver=bob&status=received", 452), ("q=nothing", 0)]
    {
        let paged = app.all(&desk, &format!("/support/messages?{filter}&limit=200&reason=pages")).await;
        assert_eq!(paged.len(), count, "{filter}");
        let path = format!("/support/messages/export?{filter}&reason=export");
        let reply = desk.get(&format!("{path}&format=ndjson")).await;
        assert_eq!(reply.header("content-disposition"), "attachment; filename=\"messages.ndjson\"");
        let body = reply.expect(200);
        let lines: Vec<Value> = body
            .as_str()
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, paged, "{filter}");

        let reply = desk.get(&format!("{path}&format=csv")).await;
        assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
        let rows = csv(reply.expect(200).as_str().unwrap());
        assert_eq!(
            rows[0].join(","),
            "\u{feff}ms_id,channel_id,seq,server_time,sender,sender_name,type,content,recalled_by,recalled_at,status,mentions"
        );
        assert_eq!(rows.len() - 1, paged.len());
        for (row, hit) in rows[1..].iter().zip(&paged) {
            assert_eq!(row, &row_of(hit));
        }
        let audit = root(&app).get("/audit?limit=4").await.expect(200);
        let kept =
            |entry: &Value| (text(&entry["action"]), entry["results"].clone(), entry["reason"].clone());
        let kept: Vec<_> = audit["items"].as_array().unwrap().iter().map(kept).collect();
        let ended = ("export-ended".to_owned(), json!(count), json!("export"));
        let begun = ("export-begun".to_owned(), Value::Null, json!("export"));
        assert_eq!(kept, [ended.clone(), begun.clone(), ended, begun], "{filter}");
        assert_eq!(audit["items"][0]["filter"]["format"], "csv");
    }
    for (query, pointer) in [("", "format"), ("&format=xml", "format"), ("&format=csv&limit=5", "limit")] {
        let path = format!("/support/messages/export?reason=export{query}");
        assert_eq!(desk.get(&path).await.expect_problem(400, "invalid-parameter")["pointer"], pointer);
    }
    desk.get("/support/messages?reason=x&format=csv").await.expect_problem(400, "invalid-parameter");
}

// ── without the archive ──────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_archive_that_is_away_stops_nobody_and_is_caught_up_with() {
    let mut app = TestApp::start_with("archive_url = \"http://127.0.0.1:1\"").await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    for i in 0..3 {
        app.say("ann", &group, &format!("meanwhile {i}")).await;
    }
    app.settled().await;
    assert_eq!(app.gateway.read(|record| record.distinct_pairs()), 3, "pushed");
    assert_eq!(app.seqs("bob", &group, "?limit=2").await, [3, 2]);
    assert_eq!(app.seqs("bob", &group, "?after_seq=0").await, [1, 2, 3]);
    assert_eq!(app.unread("bob", &group).await, 3);
    let away = archive_is(&app, "away").await;
    assert!(away["index_lag_seconds"].as_f64().unwrap() > 0.0, "{away}");
    let desk = desk(&app);
    for (client, path) in [
        (&app.person("bob"), "/search/messages?q=meanwhile"),
        (&desk, "/support/messages?q=meanwhile&reason=x"),
        (&desk, "/support/messages/export?q=meanwhile&reason=x&format=csv"),
    ] {
        client.get(path).await.expect_problem(503, "unavailable");
    }
    // Nothing of it has been cold: what the ledger alone knows is still told.
    assert_eq!(found(&app, "bob", "status=received").await.len(), 3);
    app.person("ann").post("/messages/1/recall", json!({})).await.expect_problem(404, "not-found");

    let (_folder, url) = folder();
    app.halt().await;
    app.set("archive_url", &url);
    app.run().await;
    app.indexed().await;
    assert_eq!(found(&app, "bob", "q=meanwhile").await, ["meanwhile 2", "meanwhile 1", "meanwhile 0"]);
    assert_eq!(archive_is(&app, "ok").await["index_lag_seconds"], 0.0);
}

#[tokio::test]
async fn what_was_sent_without_an_archive_is_found_once_there_is_one() {
    let mut app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    let sends: Vec<Value> = (0..50)
        .map(|i| json!({"channel_id": group, "type": "text", "content": {"text": format!("early {i}")}}))
        .collect();
    app.person("ann").post("/messages", json!(sends)).await.expect(200);
    app.person("bob").get("/search/messages").await.expect_problem(503, "unavailable");
    archive_is(&app, "none").await;
    let (_folder, url) = folder();
    for (url, said, found_then) in
        [(url.as_str(), "with", 51), ("\"\"", "without", 0), (&url, "with again", 53)]
    {
        app.halt().await;
        app.set("archive_url", url);
        app.run().await;
        app.say("ann", &group, &format!("early {said}")).await;
        if found_then > 0 {
            app.indexed().await;
            assert_eq!(found(&app, "bob", "q=early").await.len(), found_then, "{said}");
        }
    }
}

#[tokio::test]
async fn an_embedded_archive_serves_one_replica_and_one_database() {
    let (mut app, (_folder, url)) = (TestApp::start().await, folder());
    app.halt().await;
    app.set("archive_url", &url);
    app.run().await;
    app.people(&["ann", "bob"]).await;
    let group = app.group(&["ann", "bob"]).await;
    app.say("ann", &group, "kept here").await;
    app.indexed().await;
    let refused = async |url: &str| {
        let another = App::build(config(&app.database, &format!("archive_url = {url}"))).await;
        another.err().expect("refused").to_string()
    };
    let same = refused(&url).await;
    assert!(same.contains("in use by another replica") && same.contains("Elasticsearch"), "{same}");
    let (_other, other_url) = folder();
    let other = refused(&other_url).await;
    assert!(other.contains("another archive") && other.contains("im-push-gateway archive adopt"), "{other}");

    // Changed by hand, while nothing is cold.
    app.halt().await;
    let adopted = adopt(&app, &other_url).await;
    assert!(adopted.0, "{}", adopted.1);
    app.set("archive_url", &other_url);
    app.run().await;
    app.indexed().await;
    assert_eq!(found(&app, "bob", "q=kept").await, ["kept here"]);
    app.halt().await;
    app.sql().await.batch_execute("UPDATE t_im_horizon SET sealed_ms_id = 1").await.unwrap();
    let (adopted, said) = adopt(&app, &url).await;
    assert!(!adopted && said.contains("days have moved into the other archive"), "{said}");
    let (adopted, said) = adopt(&app, "\"\"").await;
    assert!(!adopted && said.contains("archive_url is not set"), "{said}");
    let (adopted, said) = adopt(&app, &other_url).await;
    assert!(adopted, "it is the one already: {said}");
}

/// `im-push-gateway archive adopt`: whether it did, and what it said.
async fn adopt(app: &TestApp, url: &str) -> (bool, String) {
    let settings: BTreeMap<&str, String> = [
        ("IMPG_DATABASE_URL", shared().url(&app.database)),
        ("IMPG_ARCHIVE_URL", url.trim_matches('"').to_owned()),
        ("IMPG_TRUSTED_PEERS", "127.0.0.1".to_owned()),
    ]
    .into();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_im-push-gateway"))
        .args(["archive", "adopt"])
        .envs(settings)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
