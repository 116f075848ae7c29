//! Links for the developer of one callback: what they reach, and that they reach nothing else.

use serde_json::{Value, json};

use super::{OPEN, observer, path};
use crate::api::contract::of_callers;
use crate::app::{TestApp, text};
use crate::base::database::until;
use crate::support::{Client, Receiver, Script};

/// Gives up at once on what fails while others get through, one event a time.
pub const IMPATIENT: &str = "callback_give_up_ms = 1\ncallback_breaker_failures = 1000\n";

/// Every operation, answered with success.
pub async fn exercise(app: &TestApp, root: &Client, callback_id: &str) {
    let links = format!("/callbacks/{callback_id}/links");
    let made = root.post(&links, json!({"hours": 1})).await.expect(201);
    root.get(&links).await.expect(200);
    let attempt = "INSERT INTO t_im_push_attempt (callback_id, batch_id, attempted_at, duration_ms, pairs, received, \
                   offline, rejected, retried, unknown, event_ids) \
                   VALUES ($1, gen_random_uuid(), now(), 1, 0, 0, 0, 0, 0, 0, '{}') RETURNING attempt_id";
    let attempt: i64 = app.sql().await.query_one(attempt, &[&callback_id]).await.unwrap().get(0);
    let developer = bearer(app, &secret(&made));
    developer.get(&format!("/callbacks/{callback_id}/deliveries/{attempt}/payload")).await.expect(200);
    root.delete(&format!("{links}/{}", text(&made["link_id"]))).await.expect(204);
}

/// The secret of a link that was made.
pub fn secret(made: &Value) -> String {
    text(&made["url"]).rsplit_once('#').expect("a secret behind #").1.to_owned()
}

/// A caller with a link alone.
fn bearer(app: &TestApp, secret: &str) -> Client {
    Client::anonymous(&format!("{}/api/v1", app.base))
        .with_header("authorization", &format!("Bearer {secret}"))
}

async fn link(admin: &Client, callback: &Value) -> String {
    secret(&admin.post(&path(callback, "/links"), json!({"hours": 1})).await.expect(201))
}

#[tokio::test]
async fn a_link_is_shown_once_for_an_observer_by_an_admin_and_is_audited() {
    let app = TestApp::start_with(&format!("{OPEN}console_url = \"https://im.example/im/console/\"\n")).await;
    let admin = app.client("root", &["admin"]);
    let made = observer(&admin, "http://127.0.0.1:9/").await;
    let links = path(&made, "/links");
    let wish = json!({"client_id": "one", "hours": 24, "name": "李四"});
    let link = admin.post(&links, wish.clone()).await.expect(201);
    let secret = secret(&link);
    assert_eq!(link["url"], format!("https://im.example/im/console/developer/open#{secret}"));
    let mut listed = link.clone();
    listed.as_object_mut().unwrap().remove("url");
    assert_eq!(admin.get(&links).await.expect(200), json!({"items": [listed]}), "without the secret");
    let again = admin.post(&links, wish.clone()).await.expect(200);
    assert_eq!((&again["link_id"], &again["url"]), (&link["link_id"], &Value::Null));
    let mut other = wish;
    other["hours"] = json!(23);
    admin.post(&links, other).await.expect_problem(409, "client-id-reused");
    let kept = "SELECT count(*) FROM (SELECT l::text FROM t_im_endpoint_link l UNION ALL SELECT a::text FROM t_im_audit a \
                UNION ALL SELECT c::text FROM t_im_claim c) AS kept (line) WHERE line LIKE '%' || $1 || '%'";
    assert_eq!(app.count(kept, &[&secret.trim_start_matches("impl_")]).await, 0);

    for (body, pointer) in [
        (json!({"hours": 0}), "/hours"),
        (json!({"hours": 169}), "/hours"),
        (json!({"hours": 1, "name": "two\nlines"}), "/name"),
        (json!({"hours": 1, "days": 1}), "/days"),
    ] {
        let problem = admin.post(&links, body.clone()).await.expect_problem(422, "invalid-field");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let gate =
        json!({"kind": "gate", "url": "http://127.0.0.1:9/", "without_answer": "allow", "state": "paused"});
    admin.post("/callbacks", gate).await.expect(201);
    for messages in ["gateway", "gate"] {
        let refused = admin.post(&format!("/callbacks/{messages}/links"), json!({"hours": 1})).await;
        refused.expect_problem(409, "conflict");
    }
    admin.post("/callbacks/cb-none/links", json!({"hours": 1})).await.expect_problem(404, "not-found");
    for roles in [&["support"][..], &["gateway"], &[]] {
        let caller = app.client("x", roles);
        caller.post(&links, json!({"hours": 1})).await.expect_problem(403, "forbidden");
        caller.get(&links).await.expect_problem(403, "forbidden");
        caller.delete(&format!("{links}/0000000000000000")).await.expect_problem(403, "forbidden");
    }
    for _ in 1..20 {
        admin.post(&links, json!({"hours": 1})).await.expect(201);
    }
    admin.post(&links, json!({"hours": 1})).await.expect_problem(409, "conflict");
    let gone = format!("{links}/{}", text(&link["link_id"]));
    admin.delete(&gone).await.expect(204);
    admin.delete(&gone).await.expect_problem(404, "not-found");
    let of_link =
        "SELECT count(*) FROM t_im_audit WHERE action = $1 AND actor = 'root' AND filter ->> 'link_id' = $2";
    for action in ["endpoint-link-created", "endpoint-link-revoked"] {
        assert_eq!(app.count(of_link, &[&action, &text(&link["link_id"])]).await, 1, "{action}");
    }
}

#[tokio::test]
async fn a_link_reaches_the_listed_operations_of_its_callback_and_nothing_else() {
    let app = TestApp::start_with(&format!("{OPEN}link_requests_burst = 100000\n")).await;
    let admin = app.client("root", &["admin"]);
    let endpoint = Receiver::start().await;
    let (mine, other) = (observer(&admin, &endpoint.url()).await, observer(&admin, &endpoint.url()).await);
    let secret = link(&admin, &mine).await;
    let developer = Client::anonymous(&app.base).with_header("authorization", &format!("Bearer {secret}"));
    let with = |path: &str, callback: &str| -> String {
        let parts = path.split('/').map(|part| match part {
            "{callback_id}" => callback,
            parameter if parameter.starts_with('{') => "1",
            fixed => fixed,
        });
        parts.collect::<Vec<_>>().join("/")
    };
    let mut reached = 0;
    for (method, path, is_open) in of_callers() {
        for (callback, is_own) in
            [(&mine, true), (&other, false), (&json!({"callback_id": "gateway"}), false)]
        {
            let target = with(&path, &text(&callback["callback_id"]));
            let (reply, _) = developer.raw(&method, &target, &[], &[]).await;
            let is_refused = [401, 403].contains(&reply.status);
            assert_eq!(is_refused, !(is_open && is_own), "{reply:?}");
            reached += usize::from(!is_refused);
        }
    }
    assert_eq!(reached, 8, "of its callback");
    let api = bearer(&app, &secret);
    let problem = api.get(&path(&other, "")).await.expect_problem(403, "forbidden");
    assert!(text(&problem["detail"]).contains(&text(&mine["callback_id"])), "{problem}");
    // Nor by what a client says about itself.
    let posing = api.with_header("x-user-id", "root").with_header("x-user-roles", "admin");
    posing.get(&path(&mine, "")).await.expect_problem(401, "unauthenticated");
    let changed = admin.get(&path(&other, "")).await.expect(200);
    assert_eq!(changed["state"], "active");
}

#[tokio::test]
async fn a_link_that_has_ended_was_revoked_or_whose_callback_is_gone_is_refused_at_once() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let made = observer(&admin, "http://127.0.0.1:9/").await;
    let here = path(&made, "");
    let (ending, revoked, orphan) =
        (link(&admin, &made).await, link(&admin, &made).await, link(&admin, &made).await);
    for secret in [&ending, &revoked, &orphan] {
        bearer(&app, secret).get(&here).await.expect(200);
    }
    let end = "UPDATE t_im_endpoint_link SET created_at = now() - interval '2 hours', expires_at = now() \
               WHERE link_hash = sha256($1::text::bytea)";
    assert_eq!(app.sql().await.execute(end, &[&ending]).await.unwrap(), 1);
    bearer(&app, &ending).get(&here).await.expect_problem(401, "unauthenticated");
    let listed = admin.get(&format!("{here}/links")).await.expect(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(3), "it is still shown");
    let id = "SELECT encode(substring(sha256($1::text::bytea) FOR 8), 'hex')";
    let id: String = app.sql().await.query_one(id, &[&revoked]).await.unwrap().get(0);
    admin.delete(&format!("{here}/links/{id}")).await.expect(204);
    bearer(&app, &revoked).get(&here).await.expect_problem(401, "unauthenticated");
    admin.delete(&here).await.expect(204);
    bearer(&app, &orphan).get(&here).await.expect_problem(401, "unauthenticated");
    for strange in ["impl_", "impl_short", &ending[..47], "impl_0000000000000000000000000000000000000000000"]
    {
        bearer(&app, strange).get(&here).await.expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_link_ends_by_the_clock_that_has_set_its_end() {
    let mut app = TestApp::start_with(OPEN).await;
    let made = observer(&app.client("root", &["admin"]), "http://127.0.0.1:9/").await;
    let secret = link(&app.client("root", &["admin"]), &made).await;
    app.clock("50 minutes").await;
    bearer(&app, &secret).get(&path(&made, "")).await.expect(200);
    app.clock("2 hours").await;
    bearer(&app, &secret).get(&path(&made, "")).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_link_has_a_rate_of_its_own() {
    let app =
        TestApp::start_with(&format!("{OPEN}link_requests_per_second = 1\nlink_requests_burst = 3\n")).await;
    let admin = app.client("root", &["admin"]);
    let made = observer(&admin, "http://127.0.0.1:9/").await;
    let (one, other) = (bearer(&app, &link(&admin, &made).await), bearer(&app, &link(&admin, &made).await));
    let here = path(&made, "");
    assert_eq!(one.get(&here).await.header("ratelimit"), "\"link\";r=2");
    let refused = until(|| one.get(&here), |reply| reply.status == 429).await;
    assert_eq!(refused.header("ratelimit-policy"), "\"link\";q=3;w=3");
    assert_eq!(other.get(&here).await.header("ratelimit"), "\"link\";r=2", "another link has its own");
    admin.get(&here).await.expect(200);
    // Also what a link may not do counts.
    let strange = bearer(&app, &link(&admin, &made).await);
    strange.get("/users/me").await.expect_problem(403, "forbidden");
    let refused = until(|| strange.get("/users/me"), |reply| reply.status == 429).await;
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
}

#[tokio::test]
async fn a_payload_is_what_was_sent_and_only_the_endpoint_itself_reads_it() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let bot = json!({"users": [{"user_id": "oa", "name": "审批", "kind": "application"}]});
    app.client("hr", &["directory"]).post("/directory/changes", bot).await.expect(200);
    let admin = app.client("root", &["admin"]);
    let endpoint = Receiver::start().await;
    let (mine, other) = (observer(&admin, &endpoint.url()).await, observer(&admin, &endpoint.url()).await);
    let wish = json!({"url": endpoint.url(), "event_types": ["message.created"]});
    let own = app.person("oa").post("/callbacks", wish).await.expect(201);
    let direct = app.direct("a", "oa").await;
    let (kept, recalled) =
        (app.say("a", &direct, "kept words").await, app.say("a", &direct, "recalled words").await);
    app.settled().await;
    let developer = bearer(&app, &link(&admin, &mine).await);
    let of = async |caller: &Client, callback: &Value| -> Vec<Value> {
        let list = caller.get(&path(callback, "/deliveries")).await.expect(200);
        list["items"].as_array().unwrap().iter().map(|one| one["attempt_id"].clone()).collect()
    };
    let payload =
        |callback: &Value, attempt: &Value| path(callback, &format!("/deliveries/{}/payload", text(attempt)));
    let attempts = of(&developer, &mine).await;
    let mut shown = Vec::new();
    for attempt in &attempts {
        let found = developer.get(&payload(&mine, attempt)).await.expect(200);
        let batch = text(&found["batch_id"]);
        let sent =
            endpoint.received().into_iter().find(|one| one.header("webhook-id") == batch).expect("it came");
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!((&found["events"], &found["missing"]), (&sent["events"], &json!(0)), "byte for byte");
        shown.extend(found["events"].as_array().unwrap().clone());
    }
    assert!(shown.iter().any(|event| event["data"]["content"]["text"] == "kept words"), "{shown:?}");
    let count = i64::try_from(attempts.len()).unwrap();
    let looks = "SELECT count(*) FROM t_im_audit WHERE action = 'endpoint-link-used' AND filter ->> 'use' = 'payload'";
    assert_eq!(app.count(looks, &[]).await, count);

    // Others, also with more rights, do not read what people wrote by this way.
    let theirs = of(&admin, &other).await;
    developer.get(&payload(&mine, &theirs[0])).await.expect_problem(404, "not-found");
    developer.get(&payload(&other, &theirs[0])).await.expect_problem(403, "forbidden");
    for caller in [&admin, &app.client("desk", &["support"])] {
        caller.get(&payload(&mine, &attempts[0])).await.expect_problem(403, "forbidden");
    }
    let oa = app.person("oa");
    let attempt = of(&oa, &own).await.remove(0);
    oa.get(&payload(&own, &attempt)).await.expect(200);
    oa.get(&payload(&mine, &attempts[0])).await.expect_problem(404, "not-found");

    let recall = format!("/messages/{}/recall", text(&recalled["ms_id"]));
    app.person("a").post(&recall, json!({})).await.expect(200);
    for attempt in &attempts {
        let found = developer.get(&payload(&mine, attempt)).await.expect(200).to_string();
        assert!(!found.contains("recalled words"), "{found}");
    }
    assert!(kept["ms_id"].is_string());
}

#[tokio::test]
async fn a_dry_run_counts_what_a_replay_would_queue_and_queues_nothing() {
    let app = TestApp::start_with(&format!("{OPEN}{IMPATIENT}")).await;
    app.people(&["a", "b"]).await;
    let admin = app.client("root", &["admin"]);
    let endpoint = Receiver::start().await;
    endpoint.answer(Script::status(500, &[], "no"));
    let wish = json!({"url": endpoint.url(), "event_types": ["message.created"], "batch_events": 1});
    let made = admin.post("/callbacks", wish).await.expect(201);
    let direct = app.direct("a", "b").await;
    for words in ["one", "two", "three"] {
        app.say("a", &direct, words).await;
    }
    app.until("SELECT count(*) FROM t_im_push_dead", 3).await;
    app.settled().await;
    let developer = bearer(&app, &link(&admin, &made).await);
    let replay = async |body: Value| {
        developer.post(&path(&made, "/replay"), body).await.expect(200)["replayed"].clone()
    };
    let since = "2000-01-01T00:00:00Z";
    assert_eq!(replay(json!({"since": since, "dry_run": true})).await, 3);
    assert_eq!(replay(json!({"events_since": since, "dry_run": true})).await, 3);
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 3);
    let noted = "SELECT count(*) FROM t_im_audit WHERE action = 'endpoint-link-used'";
    assert_eq!(app.count(noted, &[]).await, 0);
    endpoint.answer(Script::status(204, &[], ""));
    assert_eq!(replay(json!({"since": since})).await, 3);
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 0);
    assert_eq!(app.count(noted, &[]).await, 1);
}

#[tokio::test]
async fn a_link_reads_nothing_from_before_its_callback_got_another_url_or_filter() {
    let app = TestApp::start_with(&format!("{OPEN}{IMPATIENT}")).await;
    app.people(&["a", "b", "c"]).await;
    let admin = app.client("root", &["admin"]);
    let (before, vendor) = (Receiver::start().await, Receiver::start().await);
    before.answer(Script::status(500, &[], "the answer of another"));
    let wish = json!({"url": before.url(), "event_types": ["message.created"], "batch_events": 1});
    let made = admin.post("/callbacks", wish).await.expect(201);
    let (taken, left) = (app.direct("a", "b").await, app.direct("a", "c").await);
    app.say("a", &taken, "words of the taken").await;
    app.say("a", &left, "words of the left").await;
    app.until("SELECT count(*) FROM t_im_push_dead", 2).await;
    app.settled().await;
    let developer = bearer(&app, &link(&admin, &made).await);
    let ids = async |list: &str, id: &str| -> Vec<String> {
        let page = developer.get(&path(&made, list)).await.expect(200);
        page["items"].as_array().unwrap().iter().map(|one| text(&one[id])).collect()
    };
    let (attempts, letters) = (ids("/deliveries", "attempt_id").await, ids("/dead-letters", "dead_id").await);
    assert!(!attempts.is_empty() && letters.len() == 2, "{attempts:?} {letters:?}");

    let change = json!({"url": vendor.url(), "channel_ids": [taken]});
    admin.patch(&path(&made, ""), change).await.expect(200);
    assert_eq!(ids("/deliveries", "attempt_id").await, [""; 0]);
    assert_eq!(ids("/dead-letters", "dead_id").await, [""; 0]);
    for attempt in &attempts {
        let payload = path(&made, &format!("/deliveries/{attempt}/payload"));
        developer.get(&payload).await.expect_problem(404, "not-found");
    }
    developer
        .get(&path(&made, &format!("/dead-letters/{}", letters[0])))
        .await
        .expect_problem(404, "not-found");
    for which in [json!({"dry_run": true}), json!({}), json!({"dead_ids": letters})] {
        let put = developer.post(&path(&made, "/replay"), which).await.expect(200);
        assert_eq!(put["replayed"], 0, "{put}");
    }
    assert_eq!(app.count("SELECT count(*) FROM t_im_push_dead", &[]).await, 2);
    let page = admin.get(&path(&made, "/dead-letters")).await.expect(200);
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2), "an administrator still has them");

    // Other changes hide nothing, and what the callback takes no more stays hidden in what a link may read.
    app.sql().await.execute("UPDATE t_im_callback SET aimed_at = NULL", &[]).await.unwrap();
    admin.patch(&path(&made, ""), json!({"description": "of a vendor"})).await.expect(200);
    assert_eq!(ids("/deliveries", "attempt_id").await, attempts);
    let (mut shown, mut missing) = (String::new(), 0);
    for attempt in &attempts {
        let found = developer.get(&path(&made, &format!("/deliveries/{attempt}/payload"))).await.expect(200);
        shown += &found["events"].to_string();
        missing += found["missing"].as_i64().unwrap();
    }
    assert!(shown.contains("words of the taken") && !shown.contains("words of the left"), "{shown}");
    assert!(missing > 0, "{shown}");
}

#[tokio::test]
async fn a_link_replays_slowly_one_at_a_time_and_not_onto_a_queue() {
    let few = "callback_link_replay_waiting_pairs = 2\ncallback_link_replay_per_second = 5\n";
    let app = TestApp::start_with(&format!("{OPEN}{few}")).await;
    app.people(&["a", "b"]).await;
    let admin = app.client("root", &["admin"]);
    let endpoint = Receiver::start().await;
    let wish = json!({"url": endpoint.url(), "event_types": ["message.created"], "batch_events": 1});
    let made = admin.post("/callbacks", wish).await.expect(201);
    let direct = app.direct("a", "b").await;
    for words in ["one", "two", "three"] {
        app.say("a", &direct, words).await;
    }
    app.settled().await;
    admin.patch(&path(&made, ""), json!({"state": "paused"})).await.expect(200);
    let (developer, replay) = (bearer(&app, &link(&admin, &made).await), path(&made, "/replay"));
    let since = "2000-01-01T00:00:00Z";
    let (all, count) = (json!({"events_since": since}), json!({"events_since": since, "dry_run": true}));
    let too_fast = json!({"events_since": since, "per_second": 6});
    let problem = developer.post(&replay, too_fast).await.expect_problem(422, "invalid-field");
    assert_eq!(problem["pointer"], "/per_second");

    let mut sql = app.sql().await;
    let turn = sql.transaction().await.unwrap();
    let taken = "SELECT pg_advisory_xact_lock(hashtextextended('im-replay:' || $1::text, 0))";
    turn.execute(taken, &[&text(&made["callback_id"])]).await.unwrap();
    for which in [&all, &count, &json!({}), &json!({"dry_run": true})] {
        developer.post(&replay, which.clone()).await.expect_problem(409, "conflict");
    }
    assert_eq!(admin.post(&replay, count.clone()).await.expect(200)["replayed"], 3, "no link");
    turn.commit().await.unwrap();

    assert_eq!(developer.post(&replay, all.clone()).await.expect(200)["replayed"], 3);
    let later = "SELECT count(*) FROM t_im_push_queue WHERE due_at > queued_at";
    assert_eq!(app.count(later, &[]).await, 2, "at the rate of links");
    let problem = developer.post(&replay, all.clone()).await.expect_problem(409, "conflict");
    assert!(text(&problem["detail"]).contains("callback_link_replay_waiting_pairs"), "{problem}");
    assert_eq!(developer.post(&replay, count).await.expect(200)["replayed"], 3, "a count queues nothing");
    assert_eq!(admin.post(&replay, all).await.expect(200)["replayed"], 3);
}

#[tokio::test]
async fn a_replay_takes_exactly_the_events_since_its_time() {
    let app = TestApp::start_with(OPEN).await;
    let admin = app.client("root", &["admin"]);
    let wish = json!({"url": "http://127.0.0.1:9/", "event_types": ["message.created"], "state": "paused"});
    let made = admin.post("/callbacks", wish).await.expect(201);
    // One each minute, with gaps between the ids, and pairs of neighbours in the wrong order, as transactions leave them.
    let sql = app.sql().await;
    let log = "INSERT INTO t_im_event (event_id, type, data, at) \
               SELECT 1000 + 3 * i, 'message.created', '{}', timestamptz '2026-01-01Z' + (i # 1) * interval '1 minute' \
               FROM generate_series(0, 999) AS i";
    sql.batch_execute(log).await.unwrap();
    // Between them tallies of before, which came late.
    let late = "INSERT INTO t_im_event (event_id, type, data, at) \
                SELECT event_id + 1, 'message.read', '{}', '2025-12-31Z' FROM t_im_event";
    sql.batch_execute(late).await.unwrap();
    for (since, events) in [
        ("2025-01-01T00:00:00Z", 1000),
        ("2026-01-01T00:00:00Z", 1000),
        ("2026-01-01T00:00:01Z", 999),
        ("2026-01-01T00:01:00Z", 999),
        ("2026-01-01T08:20:00Z", 500),
        ("2026-01-01T16:39:00Z", 1),
        ("2026-01-01T16:39:01Z", 0),
        ("2027-01-01T00:00:00Z", 0),
    ] {
        let which = json!({"events_since": since, "dry_run": true});
        let counted = admin.post(&path(&made, "/replay"), which).await.expect(200);
        assert_eq!(counted["replayed"], events, "{since}");
    }
    let rest = json!({"events_since": "2025-01-01T00:00:00Z", "after_event_id": "3994", "dry_run": true});
    assert_eq!(admin.post(&path(&made, "/replay"), rest).await.expect(200)["replayed"], 1);
}
