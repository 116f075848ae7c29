//! What observers are told when all goes well.

use futures_util::future::join_all;
use serde_json::json;

use super::{Wish, blameless, change, id, recall_path, say_many, start, subscribe, told};
use crate::app::{LONG, TestApp, text};
use crate::archive::moving::Aged;
use crate::support::Observer;

#[tokio::test]
async fn what_happens_in_a_channel_is_told_in_order() {
    let app = start("").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["channel.*", "message.created", "message.recalled"])).await;
    app.people(&["ann", "bob", "cy"]).await;
    let group = app.group(&["ann", "bob"]).await;
    let ann = app.person("ann");
    let first = app.say("ann", &group, "hello").await;
    ann.post(&format!("/channels/{group}/members"), json!({"user_ids": ["cy"]})).await.expect(200);
    app.say("bob", &group, "welcome").await;
    ann.post(&recall_path(&first), json!({})).await.expect(200);
    ann.patch(&format!("/channels/{group}"), json!({"name": "renamed"})).await.expect(200);
    ann.delete(&format!("/channels/{group}/members/cy")).await.expect(204);
    app.say("bob", &group, "bye").await;
    ann.delete(&format!("/channels/{group}")).await.expect(204);
    portal.wait_for(|log| log.types(&group).contains(&"channel.dissolved"), LONG).await;
    let types: Vec<String> = portal.read(|log| log.types(&group).into_iter().map(String::from).collect());
    let wanted = [
        "channel.created",
        "message.created",
        "channel.members_added",
        "message.created",
        "message.recalled",
        "channel.updated",
        "channel.members_removed",
        "message.created",
        "channel.dissolved",
    ];
    assert_eq!(types, wanted);
    let of = |what: &str| {
        portal.read(|log| log.events().iter().filter(|e| e.what == what).map(|e| e.data.clone()).collect())
    };
    let created: Vec<serde_json::Value> = of("message.created");
    assert_eq!(created[1]["content"], json!({"text": "welcome"}));
    for (field, value) in [("sender", json!("bob")), ("seq", json!(2)), ("channel_id", json!(group))] {
        assert_eq!(created[1][field], value, "{field}");
    }
    let recalled: Vec<serde_json::Value> = of("message.recalled");
    assert_eq!((&recalled[0]["ms_id"], &recalled[0]["recalled_by"]), (&first["ms_id"], &json!("ann")));
    let removed: Vec<serde_json::Value> = of("channel.members_removed");
    assert_eq!(removed[0]["user_ids"], json!(["cy"]));
    app.settled().await;
    blameless(&portal);
}

#[tokio::test]
async fn a_hundred_and_twenty_readers_are_one_event() {
    let app = start("").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["message.received", "message.read"])).await;
    app.people(&["ann"]).await;
    let crowd = app.crowd(120).await;
    let members: Vec<&str> = std::iter::once("ann").chain(crowd.iter().map(String::as_str)).collect();
    let group = app.group(&members).await;
    // The sequencer waits until everybody has read.
    let holding = app.sql().await;
    holding.batch_execute("BEGIN; SELECT FROM t_im_event_head FOR UPDATE").await.unwrap();
    let sent = app.say("ann", &group, "hello").await;
    app.until("SELECT count(*) FROM t_im_message_push WHERE status = 1", 120).await;
    let path = format!("/channels/{group}/read");
    for some in crowd.chunks(20) {
        let reads = some.iter().map(|who| {
            let (client, path) = (app.person(who), path.as_str());
            async move { client.post(path, json!({"seq": 1})).await.expect(200) }
        });
        join_all(reads).await;
    }
    app.until("SELECT count(*) FROM t_im_event_tally WHERE type = 'message.read'", 120).await;
    // The window of the last of them ends.
    app.until("SELECT (max(at) < im_clock() - interval '100 ms')::int::bigint FROM t_im_event_tally", 1)
        .await;
    holding.batch_execute("COMMIT").await.unwrap();
    app.settled().await;
    let events = portal.read(|log| log.events().to_vec());
    let mut types: Vec<&str> = events.iter().map(|event| event.what.as_str()).collect();
    types.sort_unstable();
    assert_eq!(types, ["message.read", "message.received"]);
    for event in &events {
        let data = &event.data;
        assert_eq!((&data["people"], &data["ms_id"]), (&json!(120), &sent["ms_id"]), "{}", event.what);
    }
    let read = events.iter().find(|event| event.what == "message.read").expect("it is there");
    assert_eq!(read.data["readers"].as_array().expect("some are named").len(), 100);
    blameless(&portal);
}

/// A head office with its law and tax departments, a plant, and somebody in none.
async fn departments(app: &TestApp) {
    let departments = json!({
        "departments": [
            {"department_id": "head", "name": "Head office"},
            {"department_id": "law", "name": "Law", "parent_id": "head"},
            {"department_id": "tax", "name": "Tax", "parent_id": "law"},
            {"department_id": "plant", "name": "Plant"},
        ],
        "users": [
            {"user_id": "ann", "name": "Ann", "department_id": "tax"},
            {"user_id": "bob", "name": "Bob", "department_id": "plant"},
            {"user_id": "cy", "name": "Cy"},
        ],
    });
    app.client("hr", &["directory"]).post("/directory/changes", departments).await.expect(200);
}

#[tokio::test]
async fn observers_get_what_they_asked_for_each_for_itself() {
    let app = start("").await;
    departments(&app).await;
    let (one, two) = (app.group(&["ann", "bob", "cy"]).await, app.group(&["bob", "ann", "cy"]).await);
    let by = |departments| Wish { departments: Some(departments), ..Wish::of(&["message.created"]) };
    let wishes = [
        Wish::of(&["message.created"]),
        Wish::of(&["message.*"]),
        Wish { channels: Some(vec![id(&two)]), ..Wish::of(&["message.created", "channel.updated"]) },
        by(&["tax"]),
        by(&["head"]),
        by(&["plant", "nowhere"]),
        Wish { channels: Some(vec![id(&two)]), ..by(&["law"]) },
        Wish::of(&["channel.dissolved"]),
    ];
    let mut portals = Vec::new();
    for wish in wishes {
        let portal = Observer::start();
        subscribe(&app, &portal.url(), wish).await;
        portals.push(portal);
    }
    for channel in [&one, &two] {
        for who in ["ann", "bob", "cy"] {
            app.say(who, channel, "hello").await;
        }
    }
    let path = format!("/channels/{two}");
    app.person("bob").patch(&path, json!({"name": "renamed"})).await.expect(200);
    app.person("bob").delete(&path).await.expect(204);
    app.settled().await;
    let said = |portal: &Observer| -> Vec<(String, i64)> {
        let sender = |channel: &str| if channel == one { "one" } else { "two" }.to_owned();
        portal.read(|log| {
            let created = log.events().iter().filter(|event| event.what == "message.created");
            let mut said: Vec<_> = created
                .map(|event| {
                    (sender(event.channel_id.as_ref().unwrap()), event.data["seq"].as_i64().unwrap())
                })
                .collect();
            said.sort_unstable();
            said
        })
    };
    let pairs = |pairs: &[(&str, i64)]| -> Vec<(String, i64)> {
        pairs.iter().map(|(channel, seq)| ((*channel).to_owned(), *seq)).collect()
    };
    let all = pairs(&[("one", 1), ("one", 2), ("one", 3), ("two", 1), ("two", 2), ("two", 3)]);
    let wanted = [
        all.clone(),
        all,
        pairs(&[("two", 1), ("two", 2), ("two", 3)]),
        pairs(&[("one", 1), ("two", 1)]),
        pairs(&[("one", 1), ("two", 1)]),
        pairs(&[("one", 2), ("two", 2)]),
        pairs(&[("two", 1)]),
        pairs(&[]),
    ];
    for (place, (portal, wanted)) in portals.iter().zip(wanted).enumerate() {
        assert_eq!(said(portal), wanted, "observer {place}");
        blameless(portal);
    }
    let types = |place: usize| -> Vec<String> {
        portals[place].read(|log| log.events().iter().map(|event| event.what.clone()).collect())
    };
    assert_eq!(types(2).last().unwrap(), "channel.updated");
    assert_eq!(types(7), ["channel.dissolved"]);
    assert!(types(1).contains(&"message.received".to_owned()), "of the whole family");
    assert!(types(1).iter().all(|what| what.starts_with("message.")));
}

#[tokio::test]
async fn what_is_paused_is_queued_and_comes_in_bounded_batches() {
    let app = start("").await;
    let (portal, other) = (Observer::start(), Observer::start());
    let wish = || Wish { batch_events: 10, ..Wish::of(&["message.created"]) };
    let paused = subscribe(&app, &portal.url(), wish()).await;
    subscribe(&app, &other.url(), wish()).await;
    app.people(&["a", "b", "c"]).await;
    let (one, two) = (app.direct("a", "b").await, app.direct("a", "c").await);
    change(&app, &paused, "state = 'paused'").await;
    say_many(&app, "a", &one, 25).await;
    for _ in 0..5 {
        app.say("a", &two, "one by one").await;
    }
    told(&other, &[&one], 25).await;
    told(&other, &[&two], 5).await;
    let queued = "SELECT coalesce(sum(pairs), 0)::bigint FROM v_im_push_item WHERE callback_id = $1";
    assert_eq!(app.count(queued, &[&paused]).await, 30, "the queue is kept");
    assert_eq!(portal.read(|log| log.posts.len()), 0);
    change(&app, &paused, "state = 'active'").await;
    told(&portal, &[&one], 25).await;
    told(&portal, &[&two], 5).await;
    app.settled().await;
    for observer in [&portal, &other] {
        let sizes: Vec<usize> = observer.read(|log| log.posts.iter().map(|p| p.events.len()).collect());
        assert!(sizes.iter().all(|size| (1..=10).contains(size)), "{sizes:?}");
        blameless(observer);
    }
}

#[tokio::test]
async fn where_nobody_wants_to_know_nothing_is_written() {
    let app = start("").await;
    app.people(&["a", "b"]).await;
    let portal = Observer::start();
    let deaf = subscribe(&app, &portal.url(), Wish::of(&["message.*", "channel.*"])).await;
    change(&app, &deaf, "state = 'disabled'").await;
    subscribe(&app, &portal.url(), Wish::of(&["channel.dissolved"])).await;
    let group = app.group(&["a", "b"]).await;
    let sent = app.say("a", &group, "hello").await;
    app.person("b").post(&format!("/channels/{group}/read"), json!({"seq": 1})).await.expect(200);
    app.person("a").post(&recall_path(&sent), json!({})).await.expect(200);
    app.settled().await;
    let written = "SELECT (SELECT is_called::int FROM t_im_event_new_new_id_seq)::bigint \
                   + (SELECT is_called::int FROM t_im_event_tally_tally_id_seq) + (SELECT count(*) FROM t_im_event)";
    assert_eq!(app.count(written, &[]).await, 0, "not even for a moment");
    app.person("a").delete(&format!("/channels/{group}")).await.expect(204);
    portal.wait_for(|log| log.types(&group) == ["channel.dissolved"], LONG).await;
    assert_eq!(app.count(written, &[]).await, 2, "and what somebody wants is");
}

#[tokio::test]
async fn only_what_was_committed_is_told_and_gets_an_id() {
    let app = start("").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["channel.updated"])).await;
    let tell = |what: &str| {
        format!(
            "BEGIN; SELECT im_emit('channel.updated', 7, 'a', '{{\"what\": \"{what}\"}}', NULL, im_clock())"
        )
    };
    let (early, late, never) = (app.sql().await, app.sql().await, app.sql().await);
    early.batch_execute(&tell("told first, committed last")).await.unwrap();
    never.batch_execute(&tell("rolled back")).await.unwrap();
    late.batch_execute(&tell("committed first")).await.unwrap();
    late.batch_execute("COMMIT").await.unwrap();
    portal.wait_for(|log| log.events().len() == 1, LONG).await;
    never.batch_execute("ROLLBACK").await.unwrap();
    early.batch_execute("COMMIT").await.unwrap();
    portal.wait_for(|log| log.events().len() == 2, LONG).await;
    app.settled().await;
    let told: Vec<(i64, String)> =
        portal.read(|log| log.events().iter().map(|e| (e.event_id, text(&e.data["what"]))).collect());
    let wanted = [(1, "committed first".to_owned()), (2, "told first, committed last".to_owned())];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_move_into_the_archive_is_told() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob"]).await;
    let group = aged.group(&["ann", "bob"]).await;
    aged.say("ann", &group, "old").await;
    aged.settled().await;
    aged.app.set("callback_keys", "[\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"]");
    aged.app.set("callback_allow", "[\"127.0.0.0/8\"]");
    aged.app.clock("0").await;
    let portal = Observer::start();
    subscribe(&aged, &portal.url(), Wish::of(&["archive.*"])).await;
    aged.move_all().await;
    portal.wait_for(|log| !log.events().is_empty(), LONG).await;
    let event = portal.read(|log| log.events()[0].clone());
    assert_eq!((event.what.as_str(), event.channel_id), ("archive.moved", None));
    assert_eq!((&event.data["messages"], &event.data["ledger_rows"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn who_joins_moves_and_leaves_the_company_is_told() {
    let app = start("").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["user.*", "department.*"])).await;
    departments(&app).await;
    let hr = app.client("hr", &["directory"]);
    let move_and_leave = json!({"users": [
        {"user_id": "ann", "name": "Ann", "department_id": "plant"},
        {"user_id": "bob", "name": "Bob", "active": false},
        {"user_id": "cy", "name": "Cy"},
    ]});
    hr.post("/directory/changes", move_and_leave).await.expect(200);
    app.settled().await;
    let told = |what: &str, field: &str| -> Vec<String> {
        portal.read(|log| {
            log.events().iter().filter(|e| e.what == what).map(|e| text(&e.data[field])).collect()
        })
    };
    assert_eq!(told("department.created", "department_id"), ["head", "plant", "law", "tax"]);
    assert_eq!(told("user.created", "user_id"), ["ann", "bob", "cy"]);
    assert_eq!(told("user.updated", "user_id"), ["ann"], "who stays as they were is not told of");
    assert_eq!(told("user.deactivated", "user_id"), ["bob"]);
    blameless(&portal);
}

#[tokio::test]
async fn a_call_is_told_from_its_ring_to_its_end() {
    let app = start("").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["call.*"])).await;
    app.people(&["ann", "bob", "cy"]).await;
    let group = app.group(&["ann", "bob", "cy"]).await;
    let body = json!({"channel_id": group, "media": "audio"});
    let begun = app.person("ann").post("/calls", body).await.expect(201);
    let call = text(&begun["call_id"]);
    for (user, what) in [("bob", "accept"), ("bob", "accept"), ("cy", "decline"), ("bob", "end")] {
        app.person(user).post(&format!("/calls/{call}/{what}"), json!(null)).await.expect(200);
    }
    portal.wait_for(|log| log.types(&group).contains(&"call.ended"), LONG).await;
    let told: Vec<_> =
        portal.read(|log| log.events().iter().map(|e| (e.what.clone(), e.data.clone())).collect());
    let of = |user: &str| json!({"call_id": call, "channel_id": group, "user_id": user});
    let duration = told.last().expect("the end").1["duration_ms"].clone();
    assert!(duration.as_u64().is_some_and(|ms| ms >= 1), "{duration}");
    let ringing = json!({"call_id": call, "channel_id": group, "caller": "ann", "media": "audio", "rings_until": begun["rings_until"]});
    let ended = json!({"call_id": call, "channel_id": group, "outcome": "ended", "duration_ms": duration, "user_ids": ["ann", "bob"]});
    let wanted = [
        ("call.ringing", ringing),
        ("call.accepted", of("bob")),
        ("call.declined", of("cy")),
        ("call.left", of("bob")),
        ("call.ended", ended),
    ];
    assert_eq!(told, wanted.map(|(what, data)| (what.to_owned(), data)));
    app.settled().await;
    blameless(&portal);
}

#[tokio::test]
async fn each_side_of_a_relation_and_each_request_to_join_is_an_event() {
    let app = start("").await;
    let portal = Observer::start();
    subscribe(&app, &portal.url(), Wish::of(&["relation.changed", "channel.join_request"])).await;
    app.people(&["ann", "bob"]).await;
    let (ann, bob) = (app.person("ann"), app.person("bob"));
    ann.put("/users/me/relations/bob", json!({"kind": "friend", "message": "hi"})).await.expect(200);
    bob.post("/users/me/relations/ann/accept", json!(null)).await.expect(200);
    // A block is told for the one who blocks alone. What changes nothing is not told.
    for _ in 0..2 {
        bob.put("/users/me/relations/ann", json!({"kind": "block"})).await.expect(200);
    }
    let group = ann.post("/groups", json!({"name": "g", "join": "request"})).await.expect(201);
    let group = text(&group["channel_id"]);
    for _ in 0..2 {
        bob.post(&format!("/channels/{group}/requests"), json!(null)).await.expect(200);
    }
    ann.post(&format!("/channels/{group}/requests/bob/decline"), json!(null)).await.expect(204);
    portal.wait_for(|log| log.events().len() >= 7, LONG).await;
    app.settled().await;
    let mut told: Vec<_> = portal.read(|log| log.events().iter().map(|e| e.data.clone()).collect());
    let relation = |user: &str, other: &str, kinds: &[&str], message: Option<&str>| json!({"user_id": user, "other_id": other, "kinds": kinds, "message": message});
    let request = |state: &str| json!({"channel_id": group, "user_id": "bob", "state": state, "name": "g"});
    let mut wanted = vec![
        relation("ann", "bob", &["request_sent"], None),
        relation("bob", "ann", &["request_received"], Some("hi")),
        relation("ann", "bob", &["friend"], None),
        relation("bob", "ann", &["friend"], None),
        relation("bob", "ann", &["block"], None),
        request("waiting"),
        request("declined"),
    ];
    // Events of no channel are sent at once with others, so their order is not that of a channel.
    for list in [&mut told, &mut wanted] {
        list.sort_by_key(ToString::to_string);
    }
    assert_eq!(told, wanted);
    blameless(&portal);
}
