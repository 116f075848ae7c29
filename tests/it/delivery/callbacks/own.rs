//! Observers that applications make for themselves: of the channels they are in, and of no others.

use serde_json::{Value, json};

use super::{OPEN, observer, path};
use crate::app::{LONG, TestApp, text};
use crate::support::Observer;

/// Two applications and some people.
async fn company(settings: &str) -> TestApp {
    let app = TestApp::start_with(&format!("{settings}\n{OPEN}")).await;
    app.people(&["a", "b", "c"]).await;
    let bots = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application"},
                                {"user_id": "hr-bot", "name": "HR", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", bots).await.expect(200);
    app
}

fn wish(url: &str) -> Value {
    json!({"url": url, "event_types": ["message.*", "channel.*"]})
}

/// Everything in the log.
fn from_the_beginning() -> Value {
    json!({"events_since": "2000-01-01T00:00:00Z"})
}

#[tokio::test]
async fn an_application_hears_of_the_channels_it_is_in_and_of_no_others() {
    let app = company("").await;
    let portal = Observer::start();
    let oa = app.person("oa");
    let made = oa.post("/callbacks", wish(&portal.url())).await.expect(201);
    assert_eq!(made["owner"], "oa");
    let others = app.group(&["a", "b", "c"]).await;
    app.say("a", &others, "secret").await;
    let joined = app.group(&["a", "b"]).await;
    app.say("a", &joined, "before").await;
    let direct = app.direct("oa", "b").await;
    app.say("oa", &direct, "approved").await;
    app.settled().await;
    app.person("a")
        .post(&format!("/channels/{joined}/members"), json!({"user_ids": ["oa"]}))
        .await
        .expect(200);
    app.say("a", &joined, "within").await;
    app.settled().await;
    app.person("a").delete(&format!("/channels/{joined}/members/oa")).await.expect(204);
    app.say("a", &joined, "after").await;
    let last = app.say("b", &direct, "thanks").await;
    app.settled().await;
    let has_last = |log: &crate::support::Log| log.events().iter().any(|e| e.data["ms_id"] == last["ms_id"]);
    portal.wait_for(has_last, LONG).await;
    app.settled().await;
    let check = |events: &[crate::support::ObservedEvent]| {
        let of = |channel: &str| -> Vec<String> {
            let of_channel = events.iter().filter(|e| e.channel_id.as_deref() == Some(channel));
            of_channel
                .filter(|e| e.what.starts_with("channel") || e.what == "message.created")
                .map(|e| e.data["content"]["text"].as_str().unwrap_or(&e.what).to_owned())
                .collect()
        };
        assert_eq!(of(&others), [""; 0]);
        assert_eq!(of(&joined), ["channel.members_added", "within", "channel.members_removed"]);
        assert_eq!(of(&direct), ["channel.created", "approved", "thanks"]);
        assert!(
            events
                .iter()
                .all(|e| [Some(joined.as_str()), Some(direct.as_str())].contains(&e.channel_id.as_deref()))
        );
    };
    portal.read(|log| check(log.events()));
    // Of a channel that it has left it hears no more, also not what it heard then.
    let replayed = oa.post(&path(&made, "/replay"), from_the_beginning()).await.expect(200);
    app.settled().await;
    let posts = portal.read(|log| log.posts.last().map(|post| post.events.clone())).expect("a batch");
    assert_eq!(replayed["replayed"], posts.len());
    let texts = |channel: &str| -> Vec<String> {
        posts
            .iter()
            .filter(|e| e.channel_id.as_deref() == Some(channel))
            .filter_map(|e| e.data["content"]["text"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(
        (texts(&others), texts(&joined), texts(&direct)),
        (vec![], vec![], vec!["approved".to_owned(), "thanks".to_owned()])
    );

    // An application that has left hears nothing.
    let left = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", left).await.expect(200);
    app.settled().await;
    let before = portal.read(|log| log.events().len());
    app.say("b", &direct, "are you there?").await;
    app.settled().await;
    assert_eq!(portal.read(|log| log.events().len()), before);
    oa.get("/callbacks").await.expect_problem(403, "forbidden");
}

/// What an observer was told of a channel, also what it was told before: types, and the texts of messages.
fn told(portal: &Observer, channel: &str) -> Vec<String> {
    let name = |e: &crate::support::ObservedEvent| {
        e.data["content"]["text"].as_str().map_or_else(|| e.what.clone(), str::to_owned)
    };
    portal.read(|log| {
        let events = log.posts.iter().flat_map(|post| &post.events);
        events.filter(|e| e.channel_id.as_deref() == Some(channel)).map(name).collect()
    })
}

/// The texts among them, from a place on.
fn texts_since(portal: &Observer, channel: &str, before: usize) -> Vec<String> {
    told(portal, channel).split_off(before).into_iter().filter(|text| !text.contains('.')).collect()
}

/// It hears of its removal and of nothing more: not of what happens to earlier messages, nor of what was queued.
#[tokio::test]
async fn an_application_that_was_removed_hears_of_nothing_more() {
    let app = company("").await;
    let (portal, all) = (Observer::start(), Observer::start());
    let (oa, bot, a) = (app.person("oa"), app.person("hr-bot"), app.person("a"));
    let group = app.group(&["a", "b", "oa", "hr-bot"]).await;
    let card =
        json!({"type": "card", "content": {"title": "leave", "buttons": [{"id": "y", "text": "yes"}]}});
    let card = bot.post(&format!("/channels/{group}/messages"), card).await.expect(201);
    let early = app.say("a", &group, "early").await;
    app.settled().await;
    // Not of receipts, which come at a time of their own.
    let types = ["message.created", "message.updated", "message.read", "message.recalled", "channel.*"];
    let made = oa.post("/callbacks", json!({"url": portal.url(), "event_types": types})).await.expect(201);
    observer(&app.client("root", &["admin"]), &all.url()).await;
    app.say("a", &group, "heard").await;
    portal.wait_for(|log| log.events().iter().any(|e| e.data["content"]["text"] == "heard"), LONG).await;
    oa.patch(&path(&made, ""), json!({"state": "paused"})).await.expect(200);
    app.say("a", &group, "queued").await;
    app.until("SELECT count(*) FROM t_im_push_queue WHERE callback_id <> 'gateway'", 1).await;

    a.delete(&format!("/channels/{group}/members/oa")).await.expect(204);
    let before = told(&portal, &group).len();
    let done = json!({"title": "granted", "buttons": [], "version": 1});
    bot.patch(&format!("/messages/{}/card", text(&card["ms_id"])), done).await.expect(200);
    app.person("b").post(&format!("/channels/{group}/read"), json!({"seq": early["seq"]})).await.expect(200);
    a.post(&format!("/messages/{}/recall", text(&early["ms_id"])), json!({})).await.expect(200);
    let last = |log: &crate::support::Log| {
        ["message.updated", "message.read", "message.recalled"]
            .iter()
            .all(|what| log.events().iter().any(|e| e.what == *what))
    };
    all.wait_for(last, LONG).await;
    // Of what came after the removal nothing was queued. What was queued before is judged again when it is sent.
    let of_own = "SELECT coalesce(sum(pairs), 0)::bigint FROM t_im_push_queue JOIN t_im_callback USING (callback_id) \
                  WHERE owner = 'oa'";
    assert_eq!(app.count(of_own, &[]).await, 2);
    oa.patch(&path(&made, ""), json!({"state": "active"})).await.expect(200);
    app.settled().await;
    assert_eq!(told(&portal, &group)[before..], ["channel.members_removed"]);
    oa.post(&path(&made, "/replay"), from_the_beginning()).await.expect(200);
    app.settled().await;
    assert_eq!(told(&portal, &group)[before..], ["channel.members_removed"; 2]);

    // Back again, it hears of its earlier time too, and of what happens now, but of nothing in between.
    app.say("a", &group, "between").await;
    a.post(&format!("/channels/{group}/members"), json!({"user_ids": ["oa"]})).await.expect(200);
    app.say("a", &group, "back").await;
    app.settled().await;
    let before = told(&portal, &group).len();
    oa.post(&path(&made, "/replay"), from_the_beginning()).await.expect(200);
    app.settled().await;
    assert_eq!(texts_since(&portal, &group, before), ["heard", "queued", "back"]);
}

#[tokio::test]
async fn an_application_that_has_left_gets_nothing_of_what_was_queued() {
    let app = company("").await;
    let (portal, oa) = (Observer::start(), app.person("oa"));
    let root = app.client("root", &["admin"]);
    let direct = app.direct("oa", "b").await;
    let made = oa
        .post("/callbacks", json!({"url": portal.url(), "event_types": ["message.created"]}))
        .await
        .expect(201);
    oa.patch(&path(&made, ""), json!({"state": "paused"})).await.expect(200);
    app.say("b", &direct, "queued").await;
    app.until("SELECT count(*) FROM t_im_push_queue WHERE callback_id <> 'gateway'", 1).await;
    let left = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", left).await.expect(200);
    app.say("b", &direct, "not queued").await;
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    app.until("SELECT count(*) FROM t_im_push_queue WHERE callback_id <> 'gateway'", 1).await;
    root.patch(&path(&made, ""), json!({"state": "active"})).await.expect(200);
    assert_eq!(root.post(&path(&made, "/replay"), from_the_beginning()).await.expect(200)["replayed"], 0);
    app.settled().await;
    assert_eq!(told(&portal, &direct), [""; 0]);
}

/// The clicks on cards in its channels, its own and those of other applications; none of other channels.
#[tokio::test]
async fn an_application_hears_of_clicks_on_cards_of_its_channels() {
    let app = company("").await;
    let (portal, all) = (Observer::start(), Observer::start());
    let (oa, root) = (app.person("oa"), app.client("root", &["admin"]));
    let group = app.group(&["a", "b", "oa"]).await;
    let (direct, foreign) = (app.direct("oa", "b").await, app.direct("hr-bot", "b").await);
    let made = oa.post("/callbacks", json!({"url": portal.url(), "event_types": ["card.*"]})).await;
    let made = made.expect(201);
    root.post("/callbacks", json!({"url": all.url(), "event_types": ["card.action"]})).await.expect(201);
    oa.patch(&path(&made, ""), json!({"event_types": ["card.action"]})).await.expect(200);
    let send = async |sender: &str, channel: &str| {
        let buttons = json!([{"id": "agree", "text": "同意"}, {"id": "refuse", "text": "拒绝"}]);
        let card = json!({"type": "card", "content": {"title": "请假申请", "buttons": buttons}});
        let sent = app.person(sender).post(&format!("/channels/{channel}/messages"), card).await.expect(201);
        text(&sent["ms_id"])
    };
    let click = async |user: &str, ms_id: &str, button: &str| {
        let path = format!("/messages/{ms_id}/actions");
        app.person(user).post(&path, json!({"button_id": button, "value": "好"})).await.expect(201);
    };
    let of_both = async |count: usize| {
        all.wait_for(|log| log.events().len() == count, LONG).await;
        app.settled().await;
        portal.read(|log| {
            let told = log.events().iter();
            told.map(|e| (text(&e.data["user_id"]), text(&e.data["ms_id"]), text(&e.data["button_id"])))
                .collect::<Vec<_>>()
        })
    };
    let to_group = send("oa", &group).await;
    let to_direct = send("oa", &direct).await;
    let of_others = send("hr-bot", &foreign).await;
    click("a", &to_group, "agree").await;
    click("b", &of_others, "agree").await;
    click("b", &to_direct, "refuse").await;
    let heard =
        |user: &str, ms_id: &str, button: &str| (user.to_owned(), ms_id.to_owned(), button.to_owned());
    let mut told = of_both(3).await;
    told.sort();
    assert_eq!(told, [heard("a", &to_group, "agree"), heard("b", &to_direct, "refuse")]);
    portal.read(|log| {
        let action =
            log.events().iter().find(|e| e.channel_id.as_deref() == Some(group.as_str())).expect("an action");
        assert_eq!(action.what, "card.action");
        assert_eq!((&action.data["value"], &action.data["version"]), (&json!("好"), &json!(1)));
    });

    // Once it was removed it hears of no click, also not on its own card.
    app.person("a").delete(&format!("/channels/{group}/members/oa")).await.expect(204);
    click("b", &to_group, "agree").await;
    assert_eq!(of_both(4).await.len(), 2);
    let replayed = oa.post(&path(&made, "/replay"), from_the_beginning()).await.expect(200);
    assert_eq!(replayed["replayed"], 1);
}

/// It hears of messages from before it joined if its history shows them, as everyone's history does.
#[tokio::test]
async fn it_hears_of_what_its_history_shows() {
    let app = company("").await;
    let (portal, oa) = (Observer::start(), app.person("oa"));
    let made = oa.post("/callbacks", wish(&portal.url())).await.expect(201);
    for (newcomers_see, sees) in [("everything", &["before", "since"][..]), ("nothing", &["since"][..])] {
        let new = json!({"name": "g", "members": ["b"], "newcomers_see": newcomers_see});
        let group = text(&app.person("a").post("/groups", new).await.expect(201)["channel_id"]);
        app.say("a", &group, "before").await;
        app.settled().await;
        let join = json!({"user_ids": ["oa"]});
        app.person("a").post(&format!("/channels/{group}/members"), join).await.expect(200);
        app.say("a", &group, "since").await;
        app.settled().await;
        let before = told(&portal, &group).len();
        oa.post(&path(&made, "/replay"), from_the_beginning()).await.expect(200);
        app.settled().await;
        assert_eq!(texts_since(&portal, &group, before), sees, "{newcomers_see}");
    }
}

#[tokio::test]
async fn of_messages_that_did_not_reach_a_user_it_hears_of_its_own_channels() {
    let mut app = company("").await;
    app.gateway.ignore_time();
    let portal = Observer::start();
    let body = json!({"url": portal.url(), "event_types": ["message.unreceived"]});
    app.person("oa").post("/callbacks", body).await.expect(201);
    let (own, other) = (app.direct("oa", "b").await, app.direct("a", "b").await);
    let foreign = app.direct("a", "c").await;
    app.gateway.answer(|_| crate::support::Answer::all_except(&["b", "c"], &[]));
    for (sender, channel) in [("oa", &own), ("a", &other), ("a", &foreign)] {
        app.say(sender, channel, "hello").await;
    }
    app.settled().await;
    app.until("SELECT count(*) FROM t_im_reminder", 2).await;
    app.clock("6 minutes").await;
    app.until("SELECT count(*) FROM t_im_reminder", 0).await;
    portal.wait_for(|log| !log.events().is_empty(), LONG).await;
    app.settled().await;
    let told = portal.read(|log| {
        log.events()
            .iter()
            .map(|e| {
                (
                    e.data["user_id"].clone(),
                    e.data["messages"].clone(),
                    e.data["channels"][0]["channel_id"].clone(),
                    e.data["channels"].as_array().map(Vec::len),
                )
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(told, [(json!("b"), json!(1), json!(own), Some(1))]);
}

/// What one step of the sequencer touches: so many events of a channel, while so many applications have observers and
/// are not in it. Nothing of it stays.
async fn step_costs(app: &TestApp, channel: &str, (events, owners): (i64, i64)) -> i64 {
    let statement = include_str!("../../../../sql/events/sequence.sql");
    let client = app.store.client().await.expect("a connection");
    let begin = format!(
        "BEGIN;
         INSERT INTO t_im_user (user_id, name, kind, updated_at, external_id)
         SELECT 'app' || i, 'an application', 'application', now(), 'app' || i FROM generate_series(1, {owners}) AS i;
         INSERT INTO t_im_callback (callback_id, url, event_types, owner)
         SELECT 'cb-app' || i, 'http://127.0.0.1:9/', '{{channel.*}}', 'app' || i FROM generate_series(1, {owners}) AS i;
         INSERT INTO t_im_event_new (type, channel_id, at)
         SELECT 'channel.updated', {channel}, now() FROM generate_series(1, {events});
         PREPARE step AS {statement}"
    );
    client.batch_execute(&begin).await.expect("it is there");
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE step({events}, 1048576)");
    let plan: Value = client.query_one(&explain, &[]).await.expect("a plan").get(0);
    client.batch_execute("ROLLBACK; DEALLOCATE step").await.expect("it is gone");
    let blocks = |name: &str| plan[0]["Plan"][name].as_i64().expect("a number");
    blocks("Shared Hit Blocks") + blocks("Shared Read Blocks")
}

#[tokio::test]
async fn who_hears_is_found_once_for_a_channel_and_not_for_each_event_and_observer() {
    let (events, owners) = (200, 500);
    let app = company("").await;
    let channel = app.group(&["a", "b", "c"]).await;
    app.settled().await;
    let without = step_costs(&app, &channel, (events, 0)).await;
    let with = step_costs(&app, &channel, (events, owners)).await;
    assert!(
        with - without < events * owners / 50,
        "{without} buffers without such observers, {with} with {owners}"
    );
}

#[tokio::test]
async fn what_an_application_cannot_have_is_refused_and_named() {
    let app = company("callback_own_max = 2").await;
    let (oa, root) = (app.person("oa"), app.client("root", &["admin"]));
    let (own, foreign) = (app.direct("oa", "b").await, app.direct("a", "b").await);
    let with = |field: &str, value: Value| {
        let mut wish = wish("http://127.0.0.1:9/hook");
        wish[field] = value;
        wish
    };
    let wrong = [
        (with("event_types", json!(["message.created", "user.*"])), "/event_types/1"),
        (with("event_types", json!(["presence.changed"])), "/event_types/0"),
        (with("department_ids", json!(["rd"])), "/department_ids"),
        (with("channel_ids", json!([own, foreign])), "/channel_ids/1"),
        (with("channel_ids", json!(["999999"])), "/channel_ids/0"),
        (with("url", json!("http://10.0.0.1/")), "/url"),
    ];
    for (body, pointer) in &wrong {
        let problem = oa.post("/callbacks", body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], *pointer, "{body}");
    }
    oa.post("/callbacks", json!({"kind": "gateway", "url": "http://127.0.0.1:9/"}))
        .await
        .expect_problem(403, "forbidden");
    for caller in [app.person("a"), app.person("nobody"), app.client("desk", &["support"])] {
        caller.post("/callbacks", wish("http://127.0.0.1:9/")).await.expect_problem(403, "forbidden");
    }
    app.person("a").get("/callbacks").await.expect_problem(403, "forbidden");

    let made = oa.post("/callbacks", with("channel_ids", json!([own]))).await.expect(201);
    let change = path(&made, "");
    for (body, pointer) in &wrong {
        let field = pointer.split('/').nth(1).expect("a field");
        let problem =
            oa.patch(&change, json!({field: body[field]})).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], *pointer, "{body}");
    }
    oa.post("/callbacks", wish("http://127.0.0.1:9/")).await.expect(201);
    oa.post("/callbacks", wish("http://127.0.0.1:9/")).await.expect_problem(409, "conflict");
    // Administrators are not limited, and their right stays.
    observer(&root, "http://127.0.0.1:9/admin").await;
    root.patch(&change, json!({"state": "paused"})).await.expect(200);
    // Nor do they give an application what it cannot have.
    for (body, pointer) in &wrong {
        let field = pointer.split('/').nth(1).expect("a field");
        let problem =
            root.patch(&change, json!({field: body[field]})).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], *pointer, "{body}");
    }
    assert_eq!(oa.get(&change).await.expect(200)["state"], "paused");
}

#[tokio::test]
async fn another_application_neither_sees_nor_changes_it() {
    let app = company("").await;
    let (oa, other, root) = (app.person("oa"), app.person("hr-bot"), app.client("root", &["admin"]));
    let of_admin = observer(&root, "http://127.0.0.1:9/admin").await;
    let of_oa = oa.post("/callbacks", wish("http://127.0.0.1:9/oa?token=x")).await.expect(201);
    let ids = async |client: &crate::support::Client| -> Vec<Value> {
        let list = client.get("/callbacks").await.expect(200);
        list["items"].as_array().unwrap().iter().map(|item| item["callback_id"].clone()).collect()
    };
    assert_eq!(ids(&oa).await, [of_oa["callback_id"].clone()]);
    assert_eq!(ids(&other).await, [] as [Value; 0]);
    assert_eq!(ids(&root).await.len(), 3);
    for (client, callback) in [(&other, &of_oa), (&other, &of_admin), (&oa, &of_admin)] {
        let at = |rest: &str| path(callback, rest);
        client.get(&at("")).await.expect_problem(404, "not-found");
        client.patch(&at(""), json!({"state": "paused"})).await.expect_problem(404, "not-found");
        client.delete(&at("")).await.expect_problem(404, "not-found");
        client.post(&at("/secrets"), json!({})).await.expect_problem(404, "not-found");
        client.post(&at("/test"), json!({})).await.expect_problem(404, "not-found");
        client.get(&at("/deliveries")).await.expect_problem(404, "not-found");
        client.get(&at("/dead-letters")).await.expect_problem(404, "not-found");
        client.get(&at("/statistics")).await.expect_problem(404, "not-found");
        client.post(&at("/replay"), json!({})).await.expect_problem(404, "not-found");
    }
    oa.get("/callbacks/gateway").await.expect_problem(404, "not-found");
    assert_eq!(root.get(&path(&of_oa, "")).await.expect(200)["state"], "active");

    // Its application does it all, and sees the query of its URL.
    let at = |rest: &str| path(&of_oa, rest);
    assert_eq!(oa.get(&at("")).await.expect(200)["url"], "http://127.0.0.1:9/oa?token=x");
    oa.patch(&at(""), json!({"description": "ours"})).await.expect(200);
    oa.post(&at("/secrets"), json!({})).await.expect(201);
    assert_eq!(oa.post(&at("/test"), json!({})).await.expect(200)["taken"], false);
    oa.get(&at("/deliveries")).await.expect(200);
    oa.get(&at("/dead-letters")).await.expect(200);
    oa.get(&at("/statistics")).await.expect(200);
    oa.post(&at("/replay"), json!({})).await.expect(200);
    oa.delete(&at("")).await.expect(204);
    oa.get(&at("")).await.expect_problem(404, "not-found");
    let audit = root.get("/audit?actor=oa").await.expect(200);
    let actions: Vec<String> =
        audit["items"].as_array().unwrap().iter().map(|e| text(&e["action"])).collect();
    assert_eq!(
        actions,
        [
            "callback-removed",
            "callback-replayed",
            "callback-tested",
            "callback-rotated",
            "callback-changed",
            "callback-created"
        ]
    );
}
