//! Friends, friend requests, follows and blocks: both sides agree after every order and race, and a block holds at once.

use futures_util::future::join_all;
use im_push_gateway::base::error::Kind;
use im_push_gateway::base::number::ChannelId;
use im_push_gateway::chat::channel::group::{self, NewGroup};
use im_push_gateway::chat::channel::members::{self, Joiners};
use im_push_gateway::people::relation;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::api::contract::assert_fits;
use crate::app::{TestApp, text};
use crate::support::Listener;

fn at(user: &str) -> String {
    format!("/users/me/relations/{user}")
}

async fn put(app: &TestApp, caller: &str, other: &str, kind: &str) -> crate::support::Reply {
    app.person(caller).put(&at(other), json!({"kind": kind})).await
}

async fn end(app: &TestApp, caller: &str, other: &str, kind: &str) {
    app.person(caller).delete(&format!("{}?kind={kind}", at(other))).await.expect(204);
}

/// What the other user is to a user, as the list shows it.
async fn kinds(app: &TestApp, user: &str, other: &str) -> Vec<String> {
    let list = app.all(&app.person(user), "/users/me/relations").await;
    let found = list.iter().find(|relation| relation["user_id"] == other);
    let kinds = found.map(|relation| relation["kinds"].as_array().expect("kinds").clone());
    kinds.unwrap_or_default().iter().map(text).collect()
}

async fn listen(app: &TestApp, person: &str) -> Listener {
    let mut stream = app.person(person).listen(None).await;
    stream.expect("hello").await;
    stream
}

/// The next event of a stream, which is one of a relation: its kinds.
async fn told(stream: &mut Listener, of: (&str, &str)) -> Value {
    let told = stream.expect("relation.changed").await;
    assert_fits("StreamedEvent", &told.data);
    let data = &told.data["data"];
    assert_eq!((&data["user_id"], &data["other_id"]), (&json!(of.0), &json!(of.1)));
    data["kinds"].clone()
}

/// Every operation once, with success.
pub async fn exercise(app: &TestApp) {
    app.people(&["rel-a", "rel-b"]).await;
    let (a, b) = (app.person("rel-a"), app.person("rel-b"));
    a.put(&at("rel-b"), json!({"kind": "friend", "message": "hello"})).await.expect(200);
    b.post(&format!("{}/decline", at("rel-a")), json!(null)).await.expect(204);
    a.put(&at("rel-b"), json!({"kind": "friend"})).await.expect(200);
    b.post(&format!("{}/accept", at("rel-a")), json!(null)).await.expect(200);
    a.patch(&at("rel-b"), json!({"remark": "B", "tags": ["x"]})).await.expect(200);
    a.get(&at("rel-b")).await.expect(200);
    a.get("/users/me/relations?kind=friend&limit=1").await.expect(200);
    a.delete(&format!("{}?kind=friend", at("rel-b"))).await.expect(204);
}

#[tokio::test]
async fn two_people_become_friends_and_both_are_told() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (mut of_a, mut of_b) = (listen(&app, "a").await, listen(&app, "b").await);
    let asked =
        app.person("a").put(&at("b"), json!({"kind": "friend", "message": "我是 A"})).await.expect(200);
    assert_eq!((&asked["kinds"], &asked["message"]), (&json!(["request_sent"]), &Value::Null));
    assert_eq!(told(&mut of_a, ("a", "b")).await, json!(["request_sent"]));
    assert_eq!(told(&mut of_b, ("b", "a")).await, json!(["request_received"]));
    let seen = app.person("b").get(&at("a")).await.expect(200);
    assert_eq!((&seen["kinds"], &seen["message"]), (&json!(["request_received"]), &json!("我是 A")));
    // Another person sees nothing of it, and cannot answer.
    app.person("c").get(&at("a")).await.expect_problem(404, "not-found");
    app.person("c").post(&format!("{}/accept", at("a")), json!(null)).await.expect_problem(404, "not-found");
    app.person("a").post(&format!("{}/accept", at("b")), json!(null)).await.expect_problem(404, "not-found");

    for _ in 0..2 {
        app.person("b").post(&format!("{}/accept", at("a")), json!(null)).await.expect(200);
    }
    for (stream, of) in [(&mut of_a, ("a", "b")), (&mut of_b, ("b", "a"))] {
        assert_eq!(told(stream, of).await, json!(["friend"]));
    }
    put(&app, "b", "a", "follow").await.expect(200);
    assert_eq!(told(&mut of_a, ("a", "b")).await, json!(["friend", "follower"]));
    assert_eq!(told(&mut of_b, ("b", "a")).await, json!(["friend", "follow"]));

    // The remark is of one side, and goes with the relation.
    let notes = json!({"remark": "老 B", "tags": ["客户", "北京"]});
    app.person("a").patch(&at("b"), notes).await.expect(200);
    let card = app.person("a").get("/users/b").await.expect(200);
    assert_eq!(card["relation"]["remark"], "老 B");
    let contacts = app.all(&app.person("a"), "/users").await;
    let tags =
        |user: &str| contacts.iter().find(|contact| contact["user_id"] == user).unwrap()["relation"].clone();
    assert_eq!(tags("b")["tags"], json!(["客户", "北京"]));
    assert_eq!(tags("c"), Value::Null);
    assert_eq!(app.person("b").get("/users/a").await.expect(200)["relation"]["remark"], Value::Null);
    assert_eq!(app.person("c").get("/users/b").await.expect(200)["relation"], Value::Null);

    end(&app, "a", "b", "friend").await;
    assert_eq!(kinds(&app, "a", "b").await, ["follower"]);
    assert_eq!(kinds(&app, "b", "a").await, ["follow"], "a follow is no friendship");
    end(&app, "b", "a", "follow").await;
    app.person("a").get(&at("b")).await.expect_problem(404, "not-found");
    assert_eq!(app.count("SELECT count(*) FROM t_im_relation", &[]).await, 0);
}

#[tokio::test]
async fn a_blocked_person_s_direct_messages_are_refused_and_groups_go_on() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let (direct, group) = (app.direct("a", "b").await, app.group(&["a", "b", "c"]).await);
    put(&app, "a", "b", "follow").await.expect(200);
    let send = |client_id: &str| json!({"type": "text", "content": {"text": "hi"}, "client_id": client_id});
    let to = |channel: &str| format!("/channels/{channel}/messages");
    let b = app.person("b");
    let before = b.post(&to(&direct), send("1")).await.expect(201);
    let mut of_b = listen(&app, "b").await;
    for _ in 0..2 {
        assert_eq!(put(&app, "a", "b", "block").await.expect(200)["kinds"], json!(["block"]));
    }
    assert_eq!(kinds(&app, "b", "a").await, [] as [String; 0], "a block is not shown to the blocked");

    let stored = app.count("SELECT count(*) FROM t_im_message", &[]).await;
    for _ in 0..2 {
        b.post(&to(&direct), send("2")).await.expect_problem(403, "blocked");
    }
    let again = b.post(&to(&direct), send("1")).await.expect(200);
    assert_eq!(again["ms_id"], before["ms_id"], "a repeat of what was stored gets its answer");
    let ms_id = text(&before["ms_id"]);
    b.post(&format!("/messages/{ms_id}/nudge"), json!({})).await.expect_problem(403, "blocked");
    let forward = json!({"channel_ids": [direct, group]});
    let forwarded = b.post(&format!("/messages/{ms_id}/forward"), forward).await.expect(200);
    let statuses: Vec<&Value> =
        forwarded["results"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(statuses, [403, 201]);
    let stored = stored + 1;
    for (kind, status) in [("friend", 403), ("follow", 403)] {
        put(&app, "b", "a", kind).await.expect_problem(status, "blocked");
        put(&app, "a", "b", kind).await.expect_problem(409, "conflict");
    }
    // No way round it: another member, or a group of one's own.
    let members = format!("/channels/{direct}/members");
    b.post(&members, json!({"user_ids": ["c"]})).await.expect_problem(403, "blocked");
    let refused = b.post("/groups", json!({"members": ["c", "a"]})).await.expect_problem(403, "blocked");
    assert_eq!(refused["pointer"], "/members/1");
    assert_blocked_in_the_transaction(&app, &group).await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_message", &[]).await, stored, "nothing is stored");
    app.settled().await;

    app.say("b", &group, "groups go on").await;
    app.say("a", &direct, "so does the one who blocks").await;
    // The first event since the block is that of the group: the blocked person is told nothing.
    of_b.expect("message.created").await;
    end(&app, "a", "b", "block").await;
    b.post(&to(&direct), send("2")).await.expect(201);
    assert_eq!(kinds(&app, "a", "b").await, [] as [String; 0], "what the block has ended stays ended");
}

/// The block can come after the first look at it. b does not add a then, nor makes a group with a.
async fn assert_blocked_in_the_transaction(app: &TestApp, group: &str) {
    let now = app.store.now().await.expect("a clock");
    let users = ["a".to_owned()];
    let joiners = Joiners { users: &users, most_members: 10, now };
    let channel_id = ChannelId(group.parse().expect("a number"));
    let refused = members::add(&app.store, channel_id, "b", joiners).await.expect_err("refused");
    assert_eq!((refused.kind, refused.pointer.as_deref()), (Kind::Blocked, Some("/user_ids")));
    let new = NewGroup { members: users.to_vec(), ..NewGroup::default() };
    let refused = group::create(&app.store, "b", &new, 10, now).await.expect_err("refused");
    assert_eq!((refused.kind, refused.pointer.as_deref()), (Kind::Blocked, Some("/members/0")));
}

#[tokio::test]
async fn a_channel_that_is_opened_after_a_block_knows_of_it() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    put(&app, "a", "b", "block").await.expect(200);
    let open = json!({"type": "direct", "members": ["a"]});
    app.person("b").post("/channels", open.clone()).await.expect_problem(403, "blocked");
    let direct = app.direct("a", "b").await;
    app.person("b").post("/channels", open).await.expect(200);
    let send = json!({"type": "text", "content": {"text": "hi"}});
    let to = format!("/channels/{direct}/messages");
    app.person("b").post(&to, send.clone()).await.expect_problem(403, "blocked");
    // The one who blocks opens the channel for others. It is a group then, and groups go on.
    app.person("a")
        .post(&format!("/channels/{direct}/members"), json!({"user_ids": ["c"]}))
        .await
        .expect(200);
    app.person("b").post(&to, send).await.expect(201);
}

#[tokio::test]
async fn what_an_earlier_version_leaves_out_of_channels_is_repaired() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "d"]).await;
    put(&app, "a", "b", "block").await.expect(200);
    let direct = app.direct("a", "b").await;
    let b = app.person("b");
    let send = json!({"type": "text", "content": {"text": "hi"}});
    let to = format!("/channels/{direct}/messages");
    // An earlier version makes direct channels without a copy of the relation.
    let unmark = "UPDATE t_im_channel_user SET talk = NULL";
    app.sql().await.batch_execute(unmark).await.unwrap();
    put(&app, "a", "b", "block").await.expect(200);
    assert_eq!(app.count(UNMARKED, &[]).await, 0, "a repeated block repairs it");
    b.post(&to, send.clone()).await.expect_problem(403, "blocked");
    app.sql().await.batch_execute(unmark).await.unwrap();
    relation::repair_directs(&app.store, 1, OffsetDateTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(app.count(UNMARKED, &[]).await, 0, "so does the housekeeping");
    b.post(&to, send.clone()).await.expect_problem(403, "blocked");

    // It makes a group of a pair, and the copy stays.
    let members = format!("/channels/{direct}/members");
    app.person("a").post(&members, json!({"user_ids": ["c"]})).await.expect(200);
    let mark = "UPDATE t_im_channel_user SET talk = 'blocked' WHERE user_id = 'b'";
    app.sql().await.batch_execute(mark).await.unwrap();
    b.post(&to, send).await.expect(201);
    b.post(&members, json!({"user_ids": ["d"]})).await.expect(200);
}

/// Another transaction holds what a popular user or an open group needs.
#[tokio::test]
async fn many_steps_on_one_popular_user_or_group_leave_connections_to_others() {
    let app = TestApp::start_with("database_wait_ms = 120000").await;
    let fans: Vec<String> = (0..20).map(|number| format!("fan{number}")).collect();
    app.people(&["a", "b"]).await;
    app.people(&fans.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let direct = app.direct("a", "b").await;
    let group = app.group(&["a", "b"]).await;
    app.person("a").patch(&format!("/channels/{group}"), json!({"join": "open"})).await.expect(200);
    let holds = [
        "SELECT pg_advisory_xact_lock(hashtextextended('im-relation:a', 0))".to_owned(),
        format!("SELECT FROM t_im_channel WHERE channel_id = {group} FOR NO KEY UPDATE"),
    ];
    for (hold, is_group) in holds.iter().zip([false, true]) {
        let holder = app.sql().await;
        holder.batch_execute(&format!("BEGIN; {hold}")).await.unwrap();
        let steps = join_all(fans.iter().map(|fan| {
            let (app, group) = (&app, &group);
            async move {
                match is_group {
                    true => app.person(fan).post(&format!("/channels/{group}/join"), json!(null)).await,
                    false => put(app, fan, "a", "follow").await,
                }
            }
        }));
        let others = async {
            // A quarter of the 8 connections.
            let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND wait_event_type = 'Lock' AND application_name = 'im-push-gateway'";
            app.until(waits, 2).await;
            for _ in 0..10 {
                app.say("b", &direct, "others go on").await;
            }
            assert!(app.count(waits, &[]).await <= 2, "the rest waits without a connection");
            holder.batch_execute("COMMIT").await.unwrap();
        };
        let (replies, ()) = futures_util::future::join(steps, others).await;
        for reply in replies {
            assert!([200, 204].contains(&reply.status), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn who_was_unfriended_finds_out_with_the_next_message() {
    let app = TestApp::start_with("unfriend = \"one_side\"\nfriend_requests = \"at_once\"").await;
    app.people(&["a", "b"]).await;
    let direct = app.direct("a", "b").await;
    put(&app, "a", "b", "friend").await.expect(200);
    assert_eq!(kinds(&app, "b", "a").await, ["friend"], "no answer is needed");
    let seen = app.person("b").get(&at("a")).await.expect(200);
    end(&app, "a", "b", "friend").await;
    assert_eq!(kinds(&app, "a", "b").await, [] as [String; 0]);
    assert_eq!(app.person("b").get(&at("a")).await.expect(200), seen, "also the time tells nothing");
    app.say("a", &direct, "one may still talk").await;
    assert_eq!(kinds(&app, "b", "a").await, ["friend"]);
    let mut of_b = listen(&app, "b").await;
    // The answer to the message does not wait for the relation, which another step holds.
    let holder = app.sql().await;
    let hold = "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('im-relation:a', 0))";
    holder.batch_execute(hold).await.unwrap();
    app.say("b", &direct, "hello?").await;
    assert_eq!(kinds(&app, "b", "a").await, ["friend"]);
    holder.batch_execute("COMMIT").await.unwrap();
    app.until("SELECT count(*) FROM t_im_relation", 0).await;
    assert_eq!(kinds(&app, "b", "a").await, [] as [String; 0]);
    of_b.expect("message.created").await;
    assert_eq!(told(&mut of_b, ("b", "a")).await, json!([]));
}

#[tokio::test]
async fn where_friendship_is_asked_for_only_friends_and_applications_talk_alone() {
    let app = TestApp::start_with("direct_needs_friendship = true\nunfriend = \"one_side\"").await;
    app.people(&["a", "b"]).await;
    let oa = json!({"users": [{"user_id": "oa", "name": "oa", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", oa).await.expect(200);
    let (direct, group) = (app.direct("a", "b").await, app.group(&["a", "b"]).await);
    let send = json!({"type": "text", "content": {"text": "hi"}, "client_id": "1"});
    let to = format!("/channels/{direct}/messages");
    for _ in 0..2 {
        app.person("a").post(&to, send.clone()).await.expect_problem(403, "no-friends");
    }
    app.say("a", &group, "a group asks for nothing").await;
    let with_oa = app.direct("a", "oa").await;
    app.say("a", &with_oa, "to an application").await;
    app.say("oa", &with_oa, "and back").await;
    put(&app, "a", "b", "friend").await.expect(200);
    app.person("a").post(&to, send.clone()).await.expect_problem(403, "no-friends");
    put(&app, "b", "a", "friend").await.expect(200);
    assert_eq!(kinds(&app, "a", "b").await, ["friend"], "both have asked");
    app.person("a").post(&to, send.clone()).await.expect(201);
    end(&app, "b", "a", "friend").await;
    assert_eq!(kinds(&app, "a", "b").await, ["friend"]);
    let more = json!({"type": "text", "content": {"text": "?"}});
    app.person("a").post(&to, more).await.expect_problem(403, "no-friends");
    app.until("SELECT count(*) FROM t_im_relation", 0).await;
    assert_eq!(kinds(&app, "a", "b").await, [] as [String; 0], "and knows it");
    app.person("a").post(&to, send).await.expect(200);
}

#[tokio::test]
async fn relations_are_to_people_that_one_sees_and_within_their_limits() {
    let limits = "relations_max = 2\nfriend_requests_max = 1\nrelation_tags_max = 1";
    let app = TestApp::start_with(limits).await;
    app.people(&["a", "b", "c", "d", "e", "f"]).await;
    let users = json!({"users": [
        {"user_id": "oa", "name": "oa", "kind": "application"},
        {"user_id": "ext", "name": "ext", "kind": "external"},
        {"user_id": "gone", "name": "gone", "active": false},
    ]});
    app.client("hr", &["directory"]).post("/directory/changes", users).await.expect(200);
    for other in ["oa", "gone", "unknown"] {
        put(&app, "a", other, "follow").await.expect_problem(404, "not-found");
    }
    put(&app, "ext", "b", "follow").await.expect_problem(404, "not-found");
    put(&app, "oa", "a", "block").await.expect_problem(403, "forbidden");
    let own = put(&app, "a", "a", "follow").await.expect_problem(400, "invalid-parameter");
    assert_eq!(own["pointer"], "user_id");
    let unknown = put(&app, "a", "b", "follower").await.expect_problem(422, "invalid-field");
    assert_eq!(unknown["pointer"], "/kind");
    let a = app.person("a");
    a.delete(&format!("{}?kind=follower", at("b"))).await.expect_problem(400, "invalid-parameter");
    a.get("/users/me/relations?kind=blocked_by").await.expect_problem(400, "invalid-parameter");
    a.put(&at("b"), json!({"kind": "follow", "message": "x"})).await.expect_problem(422, "invalid-field");
    a.put(&at("b"), json!({"kind": "friend", "message": " "})).await.expect_problem(422, "invalid-field");
    a.patch(&at("b"), json!({"remark": "x"})).await.expect_problem(404, "not-found");

    put(&app, "a", "b", "friend").await.expect(200);
    put(&app, "c", "b", "friend").await.expect_problem(409, "conflict");
    put(&app, "a", "c", "follow").await.expect(200);
    put(&app, "a", "c", "follow").await.expect(200);
    put(&app, "a", "d", "follow").await.expect_problem(409, "conflict");
    // Blocks are counted apart: a user with many relations can still block.
    for blocked in ["d", "e", "d"] {
        put(&app, "a", blocked, "block").await.expect(200);
    }
    put(&app, "a", "f", "block").await.expect_problem(409, "conflict");
    end(&app, "a", "e", "block").await;
    a.patch(&at("b"), json!({"tags": ["x", "y"]})).await.expect_problem(422, "invalid-field");
    a.patch(&at("b"), json!({"remark": "a\nb"})).await.expect_problem(422, "invalid-field");
    end(&app, "a", "c", "follow").await;
    let pages = app.all(&a, "/users/me/relations?limit=1").await;
    assert_eq!(pages.iter().map(|r| text(&r["user_id"])).collect::<Vec<_>>(), ["b", "d"]);
    for (kind, found) in [("block", 1), ("request_sent", 1), ("friend", 0), ("follow", 0)] {
        let page = a.get(&format!("/users/me/relations?kind={kind}")).await.expect(200);
        assert_eq!(page["items"].as_array().map(Vec::len), Some(found), "{kind}");
    }
    // Ending is always possible, also with someone who has left.
    let leaver = json!({"users": [{"user_id": "b", "name": "b", "active": false}]});
    app.client("hr", &["directory"]).post("/directory/changes", leaver).await.expect(200);
    assert_eq!(a.get(&at("b")).await.expect(200)["active"], false);
    end(&app, "a", "b", "friend").await;
}

/// Rows without a mirror, or with one that says something else.
pub const UNPAIRED: &str = "SELECT count(*) FROM t_im_relation r \
    LEFT JOIN t_im_relation m ON m.user_id = r.other_id AND m.other_id = r.user_id \
    WHERE m.user_id IS NULL \
       OR (r.follows, r.followed, r.blocks, r.blocked) IS DISTINCT FROM (m.followed, m.follows, m.blocked, m.blocks) \
       OR r.friend IS DISTINCT FROM CASE m.friend WHEN 'request_sent' THEN 'request_received' \
              WHEN 'request_received' THEN 'request_sent' WHEN 'friend' THEN 'friend' END \
          AND NOT (r.friend IS NULL AND m.friend = 'unfriended' OR r.friend = 'unfriended' AND m.friend IS NULL)";
/// Members of direct channels whose rows say something else than their relation.
pub const UNMARKED: &str = "SELECT count(*) FROM t_im_channel c \
    JOIN t_im_channel_user u ON u.channel_id = c.channel_id AND u.to_seq IS NULL \
    LEFT JOIN t_im_relation r ON r.user_id = u.user_id \
         AND r.other_id = CASE c.pair_low WHEN u.user_id THEN c.pair_high ELSE c.pair_low END \
    WHERE c.channel_type = 'direct' AND u.talk IS DISTINCT FROM \
          CASE WHEN r.blocked THEN 'blocked' WHEN r.friend IN ('friend', 'unfriended') THEN r.friend END";

#[tokio::test]
async fn both_sides_agree_after_many_steps_at_once() {
    let app = TestApp::start_with("unfriend = \"one_side\"").await;
    let people = ["a", "b", "c", "d"];
    app.people(&people).await;
    let step = |number: usize| {
        let app = &app;
        async move {
            let (me, other) = (people[number % 4], people[(number + 1 + number / 4 % 3) % 4]);
            let person = app.person(me);
            let reply = match number * 7 % 11 {
                0 | 1 => put(app, me, other, "friend").await,
                2 => person.post(&format!("{}/accept", at(other)), json!(null)).await,
                3 => person.post(&format!("{}/decline", at(other)), json!(null)).await,
                4 => put(app, me, other, "follow").await,
                5 => put(app, me, other, "block").await,
                6 => person.delete(&format!("{}?kind=block", at(other))).await,
                7 => person.delete(&format!("{}?kind=friend", at(other))).await,
                8 => person.delete(&format!("{}?kind=follow", at(other))).await,
                _ => {
                    let open = json!({"type": "direct", "members": [other]});
                    let opened = person.post("/channels", open).await;
                    match opened.body["channel_id"].as_str() {
                        None => opened,
                        Some(direct) => {
                            let send = json!({"type": "text", "content": {"text": "hi"}});
                            person.post(&format!("/channels/{direct}/messages"), send).await
                        }
                    }
                }
            };
            assert!([200, 201, 204, 403, 404, 409].contains(&reply.status), "{reply:?}");
        }
    };
    for round in 0..6 {
        join_all((0..48).map(|number| step(round * 48 + number * 5 + round))).await;
        assert_eq!(app.count(UNPAIRED, &[]).await, 0, "round {round}");
        assert_eq!(app.count(UNMARKED, &[]).await, 0, "round {round}");
    }
    assert!(app.count("SELECT count(*) FROM t_im_relation", &[]).await > 0, "something is left");
    app.settled().await;
}

#[tokio::test]
async fn both_ask_at_once_and_an_acceptance_meets_a_withdrawal() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    for round in 0..8 {
        let both = [put(&app, "a", "b", "friend"), put(&app, "b", "a", "friend")];
        assert!(join_all(both).await.iter().all(|reply| reply.status == 200));
        for (me, other) in [("a", "b"), ("b", "a")] {
            assert_eq!(kinds(&app, me, other).await, ["friend"], "round {round}");
        }
        end(&app, "a", "b", "friend").await;
        put(&app, "a", "b", "friend").await.expect(200);
        // Either is first. The end of it is the wish of the one who withdraws.
        let accept = async {
            let reply = app.person("b").post(&format!("{}/accept", at("a")), json!(null)).await;
            assert!(reply.status == 200 || reply.status == 404, "{reply:?}");
        };
        futures_util::future::join(accept, end(&app, "a", "b", "friend")).await;
        for (me, other) in [("a", "b"), ("b", "a")] {
            assert_eq!(kinds(&app, me, other).await, [] as [String; 0], "round {round}");
        }
    }
}
